"""`gr2 rehearse CONFIG --workdir DIR`: what a run over a large collection costs, before anybody has the collection."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from gr2_jax.buckets import is_in_bucket
from gr2_jax.errors import UserError
from gr2_jax.terminal import show, show_json

HELP = "what each stage of a run over a large collection costs, measured over generated text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config", nargs="+", help="a config file that defines `statistics`, such as configs/clueweb09b.py, and overlays"
    )
    parser.add_argument("--workdir", help="where the rehearsal goes (default: the config's, with -rehearsal)")
    parser.add_argument(
        "--documents",
        type=int,
        default=1_000_000,
        help="generated documents, half of which run first (default: 1000000)",
    )
    parser.add_argument(
        "--topology", action="append", default=[], help="as of gr2 plan: chip-hours of the training there; repeatable"
    )
    parser.add_argument(
        "--pretraining", help="the config whose chip-hours are P of the bill (default: wikipedia.py beside the config)"
    )
    parser.add_argument("--quick", action="store_true", help="of the bill, as of gr2 plan: less effort of the compiler")
    parser.add_argument("--json", action="store_true", help="rehearsal.json instead of tables")


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    from gr2_jax.planning.topology import prepare_environment

    if not options.topology and (options.pretraining or options.quick):
        word = "--pretraining" if options.pretraining else "--quick"
        raise UserError(f"{word} is of the bill, which needs --topology, such as --topology v5e:16x16")
    for topology in options.topology:
        prepare_environment(topology)  # before JAX is used
    from gr2_jax.experiment import Experiment
    from gr2_jax.experiment.loading import load_experiment, override
    from gr2_jax.files import write_json
    from gr2_jax.planning.bill import bill, check_topologies, trainings_of
    from gr2_jax.planning.generated_collection import load_statistics
    from gr2_jax.planning.rehearsal import REPORT, rehearse
    from gr2_jax.planning.rehearsal_table import bill_table, rehearsal_lines

    experiment = override(load_experiment(*options.config), settings)
    if not isinstance(experiment, Experiment):
        raise UserError(f"{options.config[0]} is a pre-training: gr2 rehearse takes a config with a collection")
    statistics = load_statistics(options.config[0])
    trainings = trainings_of(options.config, settings, options.pretraining) if options.topology else ()
    workdir = options.workdir or f"{experiment.workdir}-rehearsal"
    if is_in_bucket(workdir):
        raise UserError(f"--workdir {workdir} is in a bucket: a rehearsal measures a disk, so give a folder on one")
    check_topologies(options.topology)
    directory = Path(workdir)
    report = rehearse(experiment, statistics, directory, options.documents)
    if options.topology:
        report["bill"] = bill(trainings, options.topology, quick=options.quick)
        write_json(directory / REPORT, report)
    if options.json:
        show_json(report)
        return 0
    show("\n".join(rehearsal_lines(experiment.name, report)))
    if "bill" in report:
        show(f"\n{bill_table(report['bill'])}")
    show(f"\nfigures  {directory / REPORT}")
    return 0
