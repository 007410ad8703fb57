"""The rows that nothing was trained for: BM25 over the documents, over documents and training queries, and LSA."""

from collections.abc import Callable
from pathlib import Path

from gr2_jax.config import Experiment
from gr2_jax.corpus import Collection, Split
from gr2_jax.evaluation.bm25 import BM25
from gr2_jax.evaluation.lsa import LSA
from gr2_jax.pipeline.prepare import read_corpus
from gr2_jax.pipeline.runs import DEPTH, PARTS, queries_of, timed, write_runs
from gr2_jax.workdir import Workdir, digest, run_stage

BASELINES = ("BM25", "BM25+queries", "LSA")


def evaluate_baselines(experiment: Experiment, workdir: Workdir, upstream: str) -> dict[str, str]:
    """Writes runs/<baseline>/; returns their fingerprints."""
    collection, split = read_corpus(workdir)
    doc_ids = [document.doc_id for document in collection.documents]
    texts = [document.contents for document in collection.documents]
    makers = (
        lambda: BM25(doc_ids, texts),
        lambda: BM25(doc_ids, _with_training_queries(collection, split, texts)),
        lambda: LSA(doc_ids, texts, seed=experiment.seed),
    )
    prints = {name: digest([upstream, name, experiment.seed]) for name in BASELINES}
    for name, make in zip(BASELINES, makers, strict=True):
        run_stage(workdir.runs / name, prints[name], lambda out, n=name, m=make: _build(out, n, m, collection, split))
    return prints


def _build(out: Path, name: str, make: Callable[[], BM25 | LSA], collection: Collection, split: Split) -> None:
    index = make()
    runs, cost = {}, {"index_mb": index.nbytes / 1e6}
    for part in PARTS:
        queries = queries_of(part, collection.queries, split)
        runs[part], cost[f"{part}_ms_per_query"] = timed(lambda asked: index.search(asked, k=DEPTH), queries)
    write_runs(out, name, runs, cost)


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
