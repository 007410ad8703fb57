"""Evaluation as a job of its own: a run's row, any of its checkpoints, any queries, and a folder of results."""

import dataclasses
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from gr2_jax.buckets import local_copy, push, shown
from gr2_jax.corpus import Qrels, read_qrels, read_topics, write_run
from gr2_jax.errors import UserError
from gr2_jax.evaluation.ir_metadata import ir_metadata
from gr2_jax.evaluation.metrics import check_measures, default_measures, mean, per_query, write_per_query
from gr2_jax.evaluation.provenance import CONVENTIONS, package_versions
from gr2_jax.files import write_json, writing
from gr2_jax.hosts import agree, is_first
from gr2_jax.lock import holding
from gr2_jax.pipeline.open_run import RunRetriever, open_row
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import fingerprint_of
from gr2_jax.progress import say
from gr2_jax.search.searcher import check_depth
from gr2_jax.search.sharded import Found, search_sharded
from gr2_jax.terminal import warn
from gr2_jax.training.mesh import devices_in_words


@dataclasses.dataclass(frozen=True)
class EvaluationJob:
    """What to search, and with what.

    run         the workdir of a run
    row         of its table; the first by default
    step        of a checkpoint; the newest by default
    queries     TREC topics, in any of their formats, or lines `id<TAB>text`; the run's test queries by default
    qrels       their judgements; without, there are no measures
    part        "test" or "validation", where no `queries` are given
    k           documents per query
    options     changes to the run's `SearchOptions`
    measures    ir_measures' names; by default the paper's for graded or for binary judgements
    output      a folder for run.trec, metrics.json and per_query.tsv
    command     that asks for it: run.trec then begins with a header of ir_metadata
    """

    run: str | os.PathLike
    row: str | None = None
    step: int | None = None
    queries: Path | None = None
    qrels: Path | None = None
    part: str = "test"
    k: int = 20
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    measures: Sequence[str] = ()
    output: str | os.PathLike | None = None
    command: str | None = None

    def __post_init__(self):
        if self.measures:
            check_measures(self.measures)
        if self.queries is None and self.qrels is not None:
            raise UserError(f"{self.qrels} judges queries that are not given: add --queries FILE")
        check_depth(self.k)


def evaluate_job(job: EvaluationJob) -> dict[str, Any]:
    """Searches, in parts that survive a kill, and writes the results; returns the contents of metrics.json.

    With several JAX processes on one file system all search and the first writes.
    """
    given = None if job.queries is None else _given_queries(job)
    opened = open_row(job.run, job.row, step=job.step, options=job.options)
    queries, qrels = _run_queries(job, opened.run) if given is None else given
    searcher = opened.searcher
    output = opened.run.paths.root / "evaluations" / _name(job, opened.row, queries)
    if job.output is not None:
        output = local_copy(job.output, workdir=True)
    decides = [opened.run.row(opened.row), opened.run.examples_fingerprint, opened.models]
    parts = output / "parts" / fingerprint_of([decides, list(queries.items()), job.k, searcher.options])
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    agree(output, parts.name)
    with holding(output), writing(output):
        say(devices_in_words())
        found = search_sharded(searcher, queries, job.k, parts)
        result = {"measures": {}, "provenance": _provenance(job, opened, searcher.options, found, queries)}
        if qrels is not None:
            result["measures"], scores = _score(found, qrels, job.measures)
        if is_first():
            write_run(output / "run.trec", found.run, opened.row, _header(job, opened, result["provenance"]))
            if qrels is None:
                (output / "per_query.tsv").unlink(missing_ok=True)  # of other queries, which had judgements
            else:
                write_per_query(output / "per_query.tsv", scores)
            write_json(output / "metrics.json", result)
            shutil.rmtree(output / "parts")
            push(output)
    return result | {"output": shown(output)}


def _run_queries(job: EvaluationJob, run: Run) -> tuple[dict[str, str], Qrels]:
    queries = run.queries(job.part)
    if not queries:
        raise UserError(f"{run.paths.root} keeps no {job.part} queries: give --queries FILE")
    return queries, run.qrels(job.part)


def _given_queries(job: EvaluationJob) -> tuple[dict[str, str], Qrels | None]:
    queries = read_topics(job.queries)
    if job.qrels is None:
        return queries, None
    qrels = read_qrels(job.qrels)
    judged = qrels.keys() & queries.keys()
    if not judged:
        raise UserError(f"{job.queries} and {job.qrels} have no query id in common")
    if missing := len(qrels) - len(judged):
        warn(f"{missing:,} of the {len(qrels):,} judged queries are not in {job.queries}: left out")
    return queries, {query: qrels[query] for query in qrels if query in judged}


def _score(found: Found, qrels: Qrels, measures: Sequence[str]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    scores = per_query(found.run, qrels, measures or default_measures(qrels))
    return {name: mean(name, values) for name, values in scores.items()}, scores


def _header(job: EvaluationJob, opened: RunRetriever, facts: Mapping[str, Any]) -> Iterable[str]:
    if job.command is None:
        return ()
    return ir_metadata(facts, tag=opened.row, command=job.command, collection=opened.run.experiment.corpus.described)


def _name(job: EvaluationJob, row: str, queries: Mapping[str, str]) -> str:
    asked = job.part
    if job.queries is not None:
        # a pipe has another name each time, so its contents name it
        which = str(job.queries.resolve()) if job.queries.is_file() else list(queries.items())
        asked = f"{job.queries.stem}-{fingerprint_of(which)[:6]}"
    words = [row, None if job.step is None else f"step-{job.step}", asked]
    words += [f"{name}-{value}" for name, value in {"k": job.k, **job.options}.items()]
    return "-".join(word.replace("/", "_") for word in words if word is not None)


def _provenance(
    job: EvaluationJob, opened: RunRetriever, options: Any, found: Found, queries: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "run": os.fspath(job.run),
        "row": opened.row,
        "models": opened.models,
        "queries": len(queries),
        "queries_sha": fingerprint_of(list(queries.items())),
        "k": job.k,
        "search": dataclasses.asdict(options),
        "proven_share": found.proven_share,
        "ms_per_query": found.ms_per_query,
        "devices": jax.device_count(),
        "conventions": CONVENTIONS,
        "versions": package_versions(),
    }
