"""What the commands on a config file have in common: quickstart, run, prepare, docids, train and evaluate."""

import argparse
import dataclasses
import re
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gr2_jax.buckets import local_copy, shown
from gr2_jax.errors import UserError, nearest
from gr2_jax.files import read_json
from gr2_jax.terminal import show, show_json

if TYPE_CHECKING:
    from gr2_jax.experiment import Experiment, Pretraining, Settings
    from gr2_jax.pipeline.workdir import Workdir

_LARGEST = 2**32 - 1  # NumPy and scikit-learn take no larger seed
_SEEDS = f"give whole numbers from 0 to {_LARGEST}, separated by commas, such as 0,1,2"


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config", nargs="+", help="a config file, such as configs/cranfield.py, then overlays, in order"
    )
    add_run_options(parser)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workdir", help="where the run goes (default: the config's)")
    parser.add_argument("--rows", help="of the table, separated by commas: these alone are trained and measured")
    parser.add_argument("--validation", action="store_true", help="score the validation queries, not the test ones")
    parser.add_argument("--json", action="store_true", help="the measures as one JSON object instead of a table")
    parser.add_argument("--seeds", help="such as 0,1,2: every row once per seed, each in seed-<n>/, and one table")


def refuse_settings(settings: Sequence[str]) -> None:
    """Raises `UserError` where a command is given arguments that it does not know."""
    if settings:
        raise UserError(f"'{settings[0]}' is no option of this command; see --help")


def run_config(options: argparse.Namespace, settings: Sequence[str], until: str) -> int:
    """Every stage of a config file up to `until`, doing only what is not yet done."""
    from gr2_jax.experiment.loading import load_experiment

    return run_settings(load_experiment(*options.config), options, settings, until)


def run_settings(experiment: "Settings", options: argparse.Namespace, settings: Sequence[str], until: str) -> int:
    from gr2_jax.experiment import Experiment, Pretraining
    from gr2_jax.experiment.loading import override

    if options.validation and until != "evaluate":
        raise UserError("--validation is for commands that score: run, evaluate and quickstart")
    seeds = seeds_of(options.seeds)
    if seeds and any(re.match("--seed(=|$)", word) for word in settings):
        raise UserError("--seed and --seeds are both given: name every seed in --seeds")
    experiment = override(experiment, settings)
    if options.rows is not None:
        experiment = _with_rows(experiment, options.rows.split(","))
    if options.workdir:
        experiment = dataclasses.replace(experiment, workdir=options.workdir)
    kinds = {Experiment: _fine_tune, Pretraining: _pretrain}
    return kinds[type(experiment)](experiment, options, until, seeds)


def _with_rows(experiment: "Settings", names: Sequence[str]) -> "Settings":
    """With these rows alone, and what they need."""
    rows = {row.name: row for row in experiment.rows}
    for name in names:
        if name not in rows:
            raise UserError(f"--rows names '{name}', which is no row of {experiment.name}: {nearest(name, rows)}")
    return experiment.only(names)


def seeds_of(given: str | None) -> tuple[int, ...]:
    """The seeds of `--seeds 0,1,2`; none where it is not given."""
    if given is None:
        return ()
    words = [word.strip() for word in given.split(",")]
    if "" in words:
        raise UserError(f"--seeds is '{given}', in which a seed is empty: {_SEEDS}")
    if wrong := next((word for word in words if not re.fullmatch("[0-9]{1,10}", word) or int(word) > _LARGEST), None):
        raise UserError(f"--seeds has '{wrong}', which is no seed: {_SEEDS}")
    seeds = tuple(map(int, words))
    if twice := next((str(seed) for seed in seeds if seeds.count(seed) > 1), None):
        raise UserError(f"--seeds has {twice} twice: name each seed once")
    return seeds


def _fine_tune(experiment: "Experiment", options: argparse.Namespace, until: str, seeds: tuple[int, ...]) -> int:
    from gr2_jax.hosts import is_first
    from gr2_jax.pipeline.report_page.page import page_path
    from gr2_jax.pipeline.stages import run_experiment

    paths = joined(experiment, seeds)
    part = "validation" if options.validation else "test"
    table = run_experiment(experiment, paths.root, until=until, part=part, seeds=seeds)
    if table is None:
        if until == "evaluate" and is_first() and not options.json:
            show(f"report   {shown(page_path(paths, part))}")
            _show_next(experiment, paths, seeds)
        return 0
    if until == "docids":
        return _show_docids(experiment, paths, table, options.json, seeds)
    measures = paths.metrics / f"{part}.json"
    if options.json:
        show_json(read_json(measures))
        return 0
    show(f"\n{table}\n")
    runs = paths.root / "seed-<n>" / "runs" if seeds else paths.runs
    show(f"table    {shown(paths.report)}/{part}.md\nmeasures {shown(measures)}")
    show(f"runs     {shown(runs)}/<row>/{part}.trec\nreport   {shown(page_path(paths, part))}")
    _show_next(experiment, paths, seeds)
    return 0


def _show_next(experiment: "Experiment", paths: "Workdir", seeds: tuple[int, ...]) -> None:
    """What to type to search the run."""
    if experiment.corpus.folds:
        return
    query = "indices that would sort an array" if experiment.corpus.source.startswith("apidocs") else "a query"
    searched = paths.seed(seeds[0]) if seeds else paths
    show(f'\nnext: gr2 search "{query}" --workdir {shlex.quote(shown(searched.root))}')


def _show_docids(experiment: "Experiment", paths: "Workdir", table: str, as_json: bool, seeds: tuple[int, ...]) -> int:
    if seeds:
        paths = paths.seed(seeds[0])
    if experiment.corpus.folds:
        paths = paths.fold(0)
    if seeds or experiment.corpus.folds:
        print(f"the docids of {paths.root}, the first of several:", file=sys.stderr)
    if as_json:
        names = [scheme.name for scheme in experiment.docids.schemes]
        files = {name: paths.quality(name) / "quality.json" for name in names}
        show_json({name: read_json(file) for name, file in files.items()})
        return 0
    show(f"\n{table}\n")
    show(f"table    {paths.report}/docids.md\npicture  {paths.report}/docids.png")
    show(f"docids   {paths.docids('<scheme>')}/docids.tsv\nquality  {paths.quality('<scheme>')}/quality.json")
    return 0


def _pretrain(experiment: "Pretraining", options: argparse.Namespace, until: str, seeds: tuple[int, ...]) -> int:
    from gr2_jax.hosts import is_first
    from gr2_jax.pipeline.pretraining import pretrain

    if until == "docids":
        raise UserError("pre-training uses article titles as docids: use gr2 train or gr2 prepare")
    if options.validation:
        raise UserError("--validation is for commands that score, and pre-training has nothing to score")
    if seeds:
        raise UserError("--seeds is for a table over several seeds, and pre-training has none: give --seed")
    weights = pretrain(experiment, joined(experiment, ()).root, until="prepare" if until == "prepare" else "train")
    if weights is not None and is_first():
        result = {"weights": str(weights), "vocabulary": str(weights / "spiece.model")}
        lines = (f"{name:10} {path}" for name, path in result.items())
        if options.json:
            show_json(result)
        else:
            show("\n".join(lines))
    return 0


def joined(experiment: "Settings", seeds: tuple[int, ...]) -> "Workdir":
    """Joins the other processes of the job, if any, and returns the paths of the workdir, on which all agree."""
    from gr2_jax.hosts import agree, join_processes
    from gr2_jax.memory import keep_freed_memory, on_cpu_only
    from gr2_jax.pipeline.stage import fingerprint_of
    from gr2_jax.pipeline.workdir import Workdir
    from gr2_jax.training.mesh import make_mesh

    join_processes()
    if on_cpu_only():
        keep_freed_memory()
    make_mesh(experiment.mesh)  # refuses a mesh that does not fit before the work begins
    paths = Workdir(local_copy(experiment.workdir, workdir=True))
    paths.create()
    agree(paths.root, fingerprint_of([experiment, seeds]))
    return paths
