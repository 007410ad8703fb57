"""Stage 4: a TREC run per system and baseline over the test queries, and what each costs per query."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gr2_jax.config import Experiment, System, ViewsRow
from gr2_jax.corpus import Collection, Split
from gr2_jax.errors import UserError, nearest
from gr2_jax.evaluation.bm25 import BM25
from gr2_jax.evaluation.lsa import LSA
from gr2_jax.evaluation.retriever import Retriever
from gr2_jax.evaluation.trec import Run, write_run
from gr2_jax.evaluation.views import Views
from gr2_jax.pipeline.prepare import read_corpus
from gr2_jax.pipeline.trained import load_retriever
from gr2_jax.progress import say
from gr2_jax.settings import experiment_from_json
from gr2_jax.workdir import STAGE_FILE, Workdir, digest, read_json, run_stage, write_json

BASELINES = ("BM25", "BM25+queries", "LSA")
_BASELINE_DEPTH = 100


def evaluate_system(experiment: Experiment, workdir: Workdir, system: System, train_print: str) -> str:
    """Writes runs/<name>/{test,validation}.trec and cost.json; returns the fingerprint."""
    fingerprint = digest([train_print, experiment.evaluation.__dict__ | {"measures": None}])

    def build(out: Path) -> None:
        say(f"searching with {system.name}")
        retriever = load_retriever(experiment, workdir, system, train_print)
        search = partial(_search, retriever, experiment.evaluation.beams)
        trained = read_json(workdir.checkpoints(f"{system.name}-{train_print}") / STAGE_FILE)
        _write_runs(
            out, workdir, system.name, search, warm_up=retriever.options.batch, train_seconds=trained["seconds"]
        )

    run_stage(workdir.runs / system.name, fingerprint, build)
    return fingerprint


def evaluate_views(experiment: Experiment, workdir: Workdir, row: ViewsRow, trained: dict[str, str]) -> str:
    """The same for a row that reads several systems together; `trained` holds their fingerprints."""
    prints = {name: trained[name] for name in row.systems}
    fingerprint = digest([list(prints.items()), experiment.evaluation.__dict__ | {"measures": None}])

    def build(out: Path) -> None:
        say(f"searching with {row.name}")
        views = _views(experiment, workdir, row, trained)
        search = partial(_search, views, experiment.evaluation.beams)
        stages = [read_json(workdir.checkpoints(f"{name}-{p}") / STAGE_FILE) for name, p in prints.items()]
        seconds = sum(stage["seconds"] for stage in stages)
        _write_runs(out, workdir, row.name, search, warm_up=views.options.batch, train_seconds=seconds)

    run_stage(workdir.runs / row.name, fingerprint, build)
    return fingerprint


def evaluate_baselines(experiment: Experiment, workdir: Workdir, upstream: str) -> dict[str, str]:
    """BM25 over the documents, BM25 over documents and training queries, and LSA nearest neighbour."""
    collection, split = read_corpus(workdir)
    doc_ids = [document.doc_id for document in collection.documents]
    texts = [document.contents for document in collection.documents]

    def bm25(contents: list[str]) -> Callable:
        index = BM25(doc_ids, contents)
        return lambda queries: index.search(queries, k=_BASELINE_DEPTH)

    def lsa() -> Callable:
        index = LSA(doc_ids, texts, seed=experiment.seed)
        return lambda queries: index.search(queries, k=_BASELINE_DEPTH)

    makers = (lambda: bm25(texts), lambda: bm25(_with_training_queries(collection, split, texts)), lsa)
    builders = dict(zip(BASELINES, makers, strict=True))
    prints = {name: digest([upstream, name, experiment.seed]) for name in builders}
    for name, make in builders.items():
        run_stage(workdir.runs / name, prints[name], lambda out, n=name, m=make: _write_runs(out, workdir, n, m()))
    return prints


def _with_training_queries(collection: Collection, split: Split, texts: list[str]) -> list[str]:
    """Each document's text and the training queries that grade none higher: what trained models have also seen."""
    row = {document.doc_id: i for i, document in enumerate(collection.documents)}
    added = list(texts)
    for query in split.train:
        judged = collection.qrels[query]
        for doc_id, grade in judged.items():
            if grade == max(judged.values()):
                added[row[doc_id]] += "\n" + collection.queries[query]
    return added


def _write_runs(out: Path, workdir: Workdir, name: str, search: Callable, *, warm_up: int = 0, **cost: float) -> None:
    """test.trec, validation.trec, and cost.json: milliseconds per query and what else is given. The first `warm_up`
    queries are searched before the clock starts, so that it does not time compilation."""
    collection, split = read_corpus(workdir)
    for part in ("validation", "test"):
        queries = {query: collection.queries[query] for query in getattr(split, part)}
        if warm_up and queries:
            search(dict(list(queries.items())[:warm_up]))
        started = time.perf_counter()
        run = search(queries) if queries else {}
        cost[f"{part}_ms_per_query"] = 1000 * (time.perf_counter() - started) / max(len(queries), 1)
        write_run(out / f"{part}.trec", run, name)
    write_json(out / "cost.json", cost)


def _search(retriever: Retriever | Views, k: int, queries: dict[str, str]) -> Run:
    hits = retriever.search(list(queries.values()), k)
    return {query: [(hit.doc_id, hit.score) for hit in found] for query, found in zip(queries, hits, strict=True)}


def open_retriever(path: str | os.PathLike, system: str | None = None) -> Retriever | Views:
    """What searched for a finished run's row `system`, by default the first of the run's config."""
    workdir = Workdir(Path(path))
    if not workdir.config.is_file():
        raise UserError(f"{workdir.root} holds no run (no config.json): make one with `gr2 quickstart --workdir ...`")
    record = read_json(workdir.config)
    if "experiment" not in record:
        raise UserError(f"{workdir.config} is not a run's: give the workdir of a run")
    if record.get("folds"):
        raise UserError(f"{workdir.root} has a model per fold: name one, {workdir.root / 'fold-0'}")
    experiment = experiment_from_json(record["experiment"])
    systems = {s.name: s for s in experiment.retrieval.systems}
    if system is None:
        system = next(iter(systems))
    views = {row.name: row for row in experiment.retrieval.views}
    if system not in {*systems, *views}:
        raise UserError(f"{workdir.root} has no system '{system}': {nearest(system, [*systems, *views])}")
    trained = record.get("trained", {})
    missing = [name for name in (views[system].systems if system in views else [system]) if name not in trained]
    if missing:
        raise UserError(f"{missing[0]} is not trained yet in {workdir.root}: run the same command again to finish it")
    if system in views:
        return _views(experiment, workdir, views[system], trained)
    return load_retriever(experiment, workdir, systems[system], trained[system])


def _views(experiment: Experiment, workdir: Workdir, row: ViewsRow, trained: dict[str, str]) -> Views:
    systems = {s.name: s for s in experiment.retrieval.systems}
    return Views(tuple(load_retriever(experiment, workdir, systems[name], trained[name]) for name in row.systems))
