"""`gr2 check CONFIG [OVERLAY ...]`: the pre-flight of a run on the machines that it would run on."""

import argparse
import dataclasses
from collections.abc import Sequence

from gr2_jax.terminal import show, show_json

HELP = "devices, mesh, workdir, data and weights of a config, tried before hours are paid"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", nargs="+", help="a config file, and overlays over it")
    parser.add_argument("--workdir", help="where the run would go (default: the config's)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    from gr2_jax.experiment.loading import load_experiment, override
    from gr2_jax.hosts import join_processes
    from gr2_jax.planning.preflight import preflight

    experiment = override(load_experiment(*options.config), settings)
    if options.workdir:
        experiment = dataclasses.replace(experiment, workdir=options.workdir)
    first = join_processes()
    findings = preflight(experiment)
    if first and options.json:
        show_json({found.what: {"ok": found.ok, "said": found.said} for found in findings})
    elif first:
        width = max(len(found.what) for found in findings)
        lines = (f"{'ok' if found.ok else 'WRONG':5}  {found.what:{width}}  {found.said}" for found in findings)
        show("\n".join(lines))
    return 0 if all(found.ok for found in findings) else 2
