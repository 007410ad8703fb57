"""`gr2 evaluate RUN`: evaluation as a job of its own."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from gr2_jax.errors import UserError

_OF_A_RUN = (
    "system", "step", "queries", "qrels", "beams", "k", "exact", "length_penalty", "measures", "output",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    job = parser.add_argument_group("for a run's workdir instead of a config file")
    job.add_argument("--system", help="a row of its table (default: the first)")
    job.add_argument("--step", type=int, help="of a checkpoint (default: the newest)")
    job.add_argument(
        "--queries", type=Path, help="TREC topics or `id<TAB>text` lines (default: the run's test queries)"
    )
    job.add_argument("--qrels", type=Path, help="TREC judgements of them")
    job.add_argument("--beams", type=int, help="hypotheses kept alive (default: the run's)")
    job.add_argument("-k", type=int, help="documents per query (default: 20)")
    job.add_argument("--exact", help="no, adaptive or exhaustive (default: the run's)")
    job.add_argument("--length-penalty", type=float, help="rank by likelihood / length ** this")
    job.add_argument("--measures", nargs="+", help="ir_measures' names (default: the paper's)")
    job.add_argument("--output", type=Path, help="a folder for run.trec, metrics.json, per_query.tsv")


def refuse_of_a_run(options: argparse.Namespace) -> None:
    """Raises UserError for an option that only a run's workdir takes."""
    for name in _OF_A_RUN:
        if getattr(options, name) is not None:
            raise UserError(
                f"--{name.replace('_', '-')} is for a run's workdir, and {options.config[0]} is a config file"
            )


def run(options: argparse.Namespace, rest: Sequence[str]) -> int:
    from gr2_jax.distributed import join_processes
    from gr2_jax.evaluation.table import format_table
    from gr2_jax.pipeline.job import EvaluationJob, evaluate_job

    if rest or options.workdir:
        wrong = rest[0] if rest else "--workdir"
        raise UserError(f"'{wrong}' is for a config file, and {options.config[0]} is a run's workdir")
    is_first = join_processes()
    changes = {name: getattr(options, name) for name in ("beams", "exact", "length_penalty")}
    job = EvaluationJob(
        run=Path(options.config[0]),
        system=options.system,
        step=options.step,
        queries=options.queries,
        qrels=options.qrels,
        part="validation" if options.validation else "test",
        k=20 if options.k is None else options.k,
        options={name: value for name, value in changes.items() if value is not None},
        measures=tuple(options.measures or ()),
        output=options.output,
    )
    result = evaluate_job(job)
    if not is_first:
        return 0
    if options.json:
        print(json.dumps(result))
        return 0
    facts, system = result["provenance"], result["provenance"]["system"]
    if result["measures"]:
        print(f"\n{format_table({system: result['measures']}, list(result['measures']))}\n")
    searched = f"{facts['queries']:,} queries, {facts['ms_per_query']:.3g} ms each"
    print(f"searched {searched}; {facts['exact_share']:.1%} of the lists are proven")
    print(f"results  {result['output']}/run.trec, metrics.json" + (", per_query.tsv" if result["measures"] else ""))
    return 0
