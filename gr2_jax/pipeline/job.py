"""Evaluation as a job of its own: a run's model, any of its checkpoints, any queries, and a folder of results."""

import dataclasses
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from gr2_jax.corpus.topics import read_topics
from gr2_jax.distributed import agree
from gr2_jax.errors import UserError
from gr2_jax.evaluation.in_parts import Found, search_in_parts
from gr2_jax.evaluation.metrics import check_measures, default_measures, mean, per_query
from gr2_jax.evaluation.provenance import CONVENTIONS, package_versions
from gr2_jax.evaluation.trec import Qrels, read_qrels, write_per_query, write_run
from gr2_jax.pipeline.opening import Opened, open_retriever, open_run
from gr2_jax.pipeline.prepare import read_corpus
from gr2_jax.pipeline.runs import queries_of
from gr2_jax.workdir import digest, write_json


@dataclasses.dataclass(frozen=True)
class EvaluationJob:
    """What to search, and with what.

    run         the workdir of a run
    system      a row of its table; the first by default
    step        of a checkpoint; the newest by default
    queries     TREC topics, in any of their formats, or lines `id<TAB>text`; the run's test queries by default
    qrels       their judgements; without, there are no measures
    part        "test" or "validation", where no `queries` are given
    k           documents per query
    options     changes to the run's `SearchOptions`
    measures    ir_measures' names; by default the paper's for graded or for binary judgements
    output      a folder for run.trec, metrics.json and per_query.tsv
    """

    run: Path
    system: str | None = None
    step: int | None = None
    queries: Path | None = None
    qrels: Path | None = None
    part: str = "test"
    k: int = 20
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    measures: Sequence[str] = ()
    output: Path | None = None


def evaluate_job(job: EvaluationJob) -> dict[str, Any]:
    """Searches, in parts that outlive a kill, and writes the results; returns what metrics.json holds.

    With several JAX processes on one file system all search and the first writes.
    """
    if job.measures:
        check_measures(job.measures)
    queries, qrels = _queries(job)
    opened = open_retriever(job.run, job.system, step=job.step)
    retriever = opened.retriever.with_options(**job.options)
    output = job.output or Path(job.run) / "evaluations" / _name(job, opened.system)
    parts = output / "parts" / digest([opened.system, opened.models, list(queries.items()), job.k, retriever.options])
    output.mkdir(parents=True, exist_ok=True)
    agree(output, parts.name)
    found = search_in_parts(retriever, queries, job.k, parts)
    result = {"measures": {}, "provenance": _provenance(job, opened, retriever.options, found, queries)}
    if qrels is not None:
        result["measures"], scores = _score(found, qrels, job.measures)
    if jax.process_index() == 0:
        write_run(output / "run.trec", found.run, opened.system)
        if qrels is None:
            (output / "per_query.tsv").unlink(missing_ok=True)  # of other queries, which had judgements
        else:
            write_per_query(output / "per_query.tsv", scores)
        write_json(output / "metrics.json", result)
        shutil.rmtree(output / "parts")
    return result | {"output": str(output)}


def _queries(job: EvaluationJob) -> tuple[dict[str, str], Qrels | None]:
    workdir = open_run(job.run).workdir
    if job.queries is None:
        if job.qrels is not None:
            raise UserError(f"{job.qrels} judges queries that are not given: add --queries FILE")
        collection, split = read_corpus(workdir)
        queries = queries_of(job.part, collection.queries, split)
        if not queries:
            raise UserError(f"{workdir.root} keeps no {job.part} queries: give --queries FILE")
        return queries, read_qrels(workdir.corpus / f"{job.part}.qrels")
    queries = read_topics(job.queries)
    if job.qrels is None:
        return queries, None
    qrels = read_qrels(job.qrels)
    judged = qrels.keys() & queries.keys()
    if not judged:
        raise UserError(f"{job.queries} and {job.qrels} have no query id in common")
    if missing := len(qrels) - len(judged):
        print(
            f"gr2: {missing:,} of the {len(qrels):,} judged queries are not in {job.queries}: left out", file=sys.stderr
        )
    return queries, {query: qrels[query] for query in qrels if query in judged}


def _score(found: Found, qrels: Qrels, measures: Sequence[str]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    scores = per_query(found.run, qrels, measures or default_measures(qrels))
    return {name: mean(name, values) for name, values in scores.items()}, scores


def _name(job: EvaluationJob, system: str) -> str:
    asked = job.part if job.queries is None else f"{job.queries.stem}-{digest([str(job.queries.resolve())])[:6]}"
    words = [system, None if job.step is None else f"step-{job.step}", asked]
    words += [f"{name}-{value}" for name, value in {"k": job.k, **job.options}.items()]
    return "-".join(word.replace("/", "_") for word in words if word is not None)


def _provenance(
    job: EvaluationJob, opened: Opened, options: Any, found: Found, queries: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "run": str(job.run),
        "system": opened.system,
        "models": opened.models,
        "queries": len(queries),
        "queries_sha": digest(list(queries.items())),
        "k": job.k,
        "search": dataclasses.asdict(options),
        "exact_share": found.exact_share,
        "ms_per_query": found.ms_per_query,
        "devices": jax.device_count(),
        "conventions": CONVENTIONS,
        "versions": package_versions(),
    }
