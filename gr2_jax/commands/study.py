"""`gr2 study STUDY [OVERLAY ...]`: an experiment varied along axes: a table with tests, study.csv and a page."""

import argparse
import dataclasses
import re
from collections.abc import Sequence

from gr2_jax.buckets import shown
from gr2_jax.commands.experiments import joined, seeds_of
from gr2_jax.errors import UserError
from gr2_jax.terminal import show

HELP = "a study: an experiment varied along axes, every point with several seeds, as a table and a page"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config", nargs="+", help="a study, such as configs/studies/ablation.py, then overlays of its base, in order"
    )
    parser.add_argument("--base", help="the config that is varied (default: the study's own)")
    parser.add_argument("--seeds", help="of every point, such as 0,1,2 (default: the study's)")
    parser.add_argument("--workdir", help="where the study goes (default: runs/<study>-<base>)")
    parser.add_argument(
        "--topology",
        action="append",
        default=[],
        help="as of gr2 plan: what the study would cost there, in place of running it; repeatable",
    )
    parser.add_argument(
        "--quick", action="store_true", help="of --topology, as of gr2 plan: less effort of the compiler"
    )


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    from gr2_jax.planning.topology import prepare_environment

    if options.quick and not options.topology:
        raise UserError("--quick is of --topology, such as --topology v5e:4x4")
    for topology in options.topology:
        prepare_environment(topology)  # before JAX is used
    from gr2_jax.experiment import Experiment
    from gr2_jax.experiment.loading import lay_over, load_experiment, override
    from gr2_jax.experiment.study_file import load_study
    from gr2_jax.pipeline.study.running import run_study

    study = load_study(options.config[0])
    if any(re.match("--seed(=|$)", word) for word in settings):
        raise UserError("a study has several seeds: give --seeds")

    def load(files: Sequence[str]) -> Experiment:
        base, overlays = study.base, options.config[1:]
        if files:
            base, overlays = load_experiment(files[0]), files[1:]
        for overlay in overlays:
            base = lay_over(overlay, base)
        base = override(base, settings)
        if not isinstance(base, Experiment):
            raise UserError(f"{options.base} is a pre-training run: a study is over a config that compares rows")
        return base

    files = [] if options.base is None else [options.base, *options.config[1:]]
    base = load(files)
    workdir = options.workdir or f"runs/{study.name}-{base.name}"
    seeds = seeds_of(options.seeds) or study.seeds
    points = study.over(base)  # refuses a bad axis before JAX is started
    if options.topology:
        from gr2_jax.pipeline.study.plan import lines, planned
        from gr2_jax.planning.bill import check_topologies
        from gr2_jax.planning.rehearsal_table import bill_table
        from gr2_jax.planning.study_bill import study_bill

        check_topologies(options.topology)
        show("\n".join(lines(points, planned(points), seeds, base.corpus.folds)))
        bill = study_bill(study, files, settings, load, options.topology, seeds, quick=options.quick)
        show(f"\n{bill_table(bill)}")
        uncounted = max(line.get("uncounted", 0) for line in bill)
        written = f", and {uncounted:,} steps of models that write docids" if uncounted else ""
        show(f"not counted: searches and measures{written}")
        return 0
    paths = joined(dataclasses.replace(base, workdir=workdir), seeds)
    table = run_study(study, base, paths.root, seeds)
    if table is not None:
        show(f"\n{table}\n")
        show(f"table    {shown(paths.report)}/study.md\nvalues   {shown(paths.root)}/study.csv")
        show(f"runs     {shown(paths.root)}/points/<point>/seed-<n>\nreport   {shown(paths.report)}/index.html")
    return 0
