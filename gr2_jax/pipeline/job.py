"""Evaluation as a job of its own: a run's model, any of its checkpoints, any queries, and a folder of results."""

import dataclasses
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from gr2_jax.corpus.topics import read_topics
from gr2_jax.errors import UserError
from gr2_jax.evaluation.in_parts import Found, search_in_parts
from gr2_jax.evaluation.metrics import check_measures, default_measures, per_query
from gr2_jax.evaluation.retriever import Retriever
from gr2_jax.evaluation.trec import Qrels, read_qrels, write_run
from gr2_jax.evaluation.views import Views
from gr2_jax.pipeline.opening import checkpoint_prints, open_retriever, open_run
from gr2_jax.pipeline.prepare import read_corpus
from gr2_jax.pipeline.report import package_versions
from gr2_jax.pipeline.runs import queries_of
from gr2_jax.training.checkpoints import checkpoint_steps
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
    retriever = open_retriever(job.run, job.system, step=job.step).with_options(**job.options)
    system = job.system or open_run(job.run).experiment.retrieval.systems[0].name
    output = job.output or Path(job.run) / "evaluations" / _name(job, system)
    # what decides a list: the model's weights by where they lie and when they were written, the queries, the options
    identity = [system, _checkpoint(job, system), list(queries.items()), job.k, retriever.options]
    parts = output / "parts" / digest(identity)
    found = search_in_parts(retriever, queries, job.k, parts)
    result = {"measures": {}, "provenance": _provenance(job, system, retriever, found, queries)}
    if qrels is not None:
        result["measures"], scores = _score(found, qrels, job.measures)
    if jax.process_index() == 0:
        write_run(output / "run.trec", found.run, system)
        if qrels is not None:
            _write_per_query(output / "per_query.tsv", scores)
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
    return {name: sum(values.values()) / len(values) for name, values in scores.items()}, scores


def _write_per_query(path: Path, scores: dict[str, dict[str, float]]) -> None:
    """`query<TAB>measure<TAB>value`, a line each."""
    partial = path.with_name(path.name + ".partial")
    lines = (f"{query}\t{name}\t{value!r}\n" for name, values in scores.items() for query, value in values.items())
    partial.write_text("".join(lines), encoding="utf-8")
    os.replace(partial, path)


def _name(job: EvaluationJob, system: str) -> str:
    words = [system, None if job.step is None else f"step-{job.step}", job.queries.stem if job.queries else job.part]
    words += [f"{name}-{value}" for name, value in job.options.items()]
    return "-".join(word.replace("/", "_") for word in words if word is not None)


def _checkpoint(job: EvaluationJob, system: str) -> dict[str, Any]:
    experiment, workdir, trained = open_run(job.run)
    names = next((row.systems for row in experiment.retrieval.views if row.name == system), (system,))
    prints = checkpoint_prints(workdir, trained, names)
    steps = {name: checkpoint_steps(workdir.checkpoints(f"{name}-{p}"))[-1] for name, p in prints.items()}
    return {name: {"fingerprint": prints[name], "step": job.step or steps[name]} for name in names}


def _provenance(
    job: EvaluationJob, system: str, retriever: Retriever | Views, found: Found, queries: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "run": str(job.run),
        "system": system,
        "checkpoint": _checkpoint(job, system),
        "queries": len(queries),
        "queries_sha": digest(list(queries.items())),
        "k": job.k,
        "search": dataclasses.asdict(retriever.options),
        "exact_share": found.exact_share,
        "ms_per_query": found.ms_per_query,
        "devices": jax.device_count(),
        "versions": package_versions(),
    }
