"""`gr2 evaluate CONFIG`: a config's stages up to the table; `gr2 evaluate RUN`: one row of a run on any queries."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from gr2_jax.buckets import is_in_bucket, local_copy
from gr2_jax.commands.experiments import add_config, run_config
from gr2_jax.commands.search_options import OPTIONS, add_search_options, given
from gr2_jax.errors import UserError
from gr2_jax.terminal import show, show_json

HELP = "TREC runs and the table of measures; or a row of a finished run on any queries"

_OF_A_RUN = ("row", "step", "queries", "qrels", "k", *OPTIONS, "length_penalty", "measures", "output", "metadata")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    job = parser.add_argument_group("for a run's workdir instead of a config file")
    job.add_argument("--row", help="of its table (default: the first)")
    job.add_argument("--step", type=int, help="of a checkpoint (default: the newest)")
    job.add_argument("--queries", help="TREC topics or `id<TAB>text` lines (default: the run's test queries)")
    job.add_argument("--qrels", help="TREC judgements of them")
    job.add_argument("-k", type=int, help="documents per query (default: 20)")
    add_search_options(job)
    job.add_argument("--length-penalty", type=float, help="rank by likelihood / length ** this")
    job.add_argument("--measures", nargs="+", help="ir_measures' names (default: the paper's)")
    job.add_argument("--output", help="a folder for run.trec, metrics.json, per_query.tsv")
    job.add_argument("--metadata", action="store_true", default=None, help="begin run.trec with ir_metadata's header")


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    directory = next((word for word in options.config if _is_run(word)), None)
    if directory is None:
        _reject_run_options(options)
        return run_config(options, settings, "evaluate")
    if len(options.config) > 1:
        raise UserError(f"{directory} is a run's workdir: it is evaluated alone, as it was trained")
    return _evaluate_run(directory, options, settings)


def _is_run(word: str) -> bool:
    return not word.endswith(".py") if is_in_bucket(word) else Path(word).is_dir()


def _reject_run_options(options: argparse.Namespace) -> None:
    """Raises `UserError` for an option that only a run's workdir takes."""
    for name in _OF_A_RUN:
        if getattr(options, name) is not None:
            raise UserError(
                f"--{name.replace('_', '-')} is for a run's workdir, and {options.config[0]} is a config file"
            )


def _evaluate_run(directory: str, options: argparse.Namespace, settings: Sequence[str]) -> int:
    from gr2_jax.evaluation.table import format_table
    from gr2_jax.hosts import join_processes
    from gr2_jax.pipeline.evaluation_job import EvaluationJob, evaluate_job

    if settings or options.workdir or options.seeds is not None:
        wrong = settings[0] if settings else "--workdir" if options.workdir else "--seeds"
        raise UserError(f"'{wrong}' is for a config file, and {directory} is a run's workdir")
    is_first = join_processes()
    changes = given(options) | ({} if options.length_penalty is None else {"length_penalty": options.length_penalty})
    job = EvaluationJob(
        run=directory,
        row=options.row,
        step=options.step,
        queries=None if options.queries is None else local_copy(options.queries),
        qrels=None if options.qrels is None else local_copy(options.qrels),
        part="validation" if options.validation else "test",
        k=20 if options.k is None else options.k,
        options=changes,
        measures=tuple(options.measures or ()),
        output=options.output,
        command=shlex.join(["gr2", *sys.argv[1:]]) if options.metadata else None,
    )
    result = evaluate_job(job)
    if not is_first:
        return 0
    if options.json:
        show_json(result)
        return 0
    facts, row = result["provenance"], result["provenance"]["row"]
    if result["measures"]:
        show(f"\n{format_table({row: result['measures']}, list(result['measures']))}\n")
    searched = f"{facts['queries']:,} queries, {facts['ms_per_query']:.3g} ms each"
    show(f"searched {searched}; {facts['proven_share']:.1%} of the lists are proven")
    show(f"results  {result['output']}/run.trec, metrics.json" + (", per_query.tsv" if result["measures"] else ""))
    return 0
