"""What a trained run is worth after its collection changed: documents added and removed, nothing trained.

python tests/benchmarks/further_documents.py WORKDIR --add apidocs:sklearn,optax [--documents 1000] [--remove 500]

Takes a run's first row. Adds the first documents of another collection and removes documents that a seed draws. Prints
how long that takes, and nDCG@20 and P@20 of the row with several amounts of smoothing (`changed` takes 1) and with a
larger w, and of BM25 over the changed collection, on the run's test queries (seen documents) and on queries of the
other collection (unseen ones); queries without a relevant document left do not count. Then whether the adaptive lists
are those of scoring every document, with 50 queries of each kind.
"""

import argparse
import random
import time

import numpy as np

from gr2_jax.corpus import load_collection
from gr2_jax.evaluation import evaluate_run
from gr2_jax.pipeline.open_run import open_row
from gr2_jax.search.bm25 import BM25

MEASURES = ("nDCG@20", "P@20")


def judged(queries: dict[str, str], qrels: dict, known: set[str]) -> tuple[dict[str, str], dict]:
    """The queries with a relevant document among the known ones, and their judgements of these."""
    kept = {query: {doc: grade for doc, grade in qrels[query].items() if doc in known} for query in queries}
    kept = {query: grades for query, grades in kept.items() if max(grades.values(), default=0) > 0}
    return {query: queries[query] for query in kept}, kept


def measured(searcher, queries: dict[str, str], qrels: dict) -> str:
    found = searcher.search(list(queries.values()), 20)
    run = {q: [(hit.doc_id, hit.score) for hit in own] for q, own in zip(queries, found, strict=True)}
    scores = evaluate_run(run, qrels, MEASURES)
    return "  ".join(f"{measure} {scores[measure]:.4f}" for measure in MEASURES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir")
    parser.add_argument("--add", required=True)
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--remove", type=int, default=500)
    options = parser.parse_args()
    opened = open_row(options.workdir)
    run, other = opened.run, load_collection(options.add)
    added = [document for document in other.documents if document.doc_id not in opened.documents][: options.documents]
    removed = random.Random(0).sample(list(opened.documents), options.remove)

    started = time.perf_counter()
    changed = opened.changed(added, remove=removed)
    print(f"{len(added)} added, {len(removed)} removed in {time.perf_counter() - started:.2f} s")
    print({name: round(value, 4) for name, value in changed.changes.figures.items()})
    seen = judged(run.queries("test"), run.qrels("test"), set(changed.documents))
    unseen = judged(other.queries, other.qrels, {document.doc_id for document in added})
    print(f"test queries: {len(seen[0])} of {len(run.queries('test'))} keep a relevant document")
    documents = list(changed.documents.values())
    bm25 = BM25(list(changed.documents), [document.contents for document in documents])
    print(
        f"before, all test queries   {opened.row}  {measured(opened.searcher, run.queries('test'), run.qrels('test'))}"
    )
    own = opened.searcher.options.weight
    ways = {f"smoothing {amount:g}": {"smoothing": amount} for amount in (0.0, 0.1, 1.0, 10.0)}
    ways |= {f"smoothing {amount:g}, w 30": {"smoothing": amount, "weight": 30.0} for amount in (0.0, 1.0)}
    print(f"w {own:g}")
    for kind, (queries, qrels) in {"seen": seen, "unseen": unseen}.items():
        searchers = {f"{opened.row}, {name}": changed.searcher.with_options(**way) for name, way in ways.items()}
        for name, searcher in (searchers | {"BM25": bm25}).items():
            print(
                f"{len(queries)} queries, {kind} documents   {name}  {measured(searcher, queries, qrels)}", flush=True
            )
    for kind, (queries, _) in {"seen": seen, "unseen": unseen}.items():
        texts = list(queries.values())[:50]
        adaptive, every = (changed.with_options(exact=way).search(texts, 20) for way in ("adaptive", "exhaustive"))
        same = [[hit.doc_id for hit in a] == [hit.doc_id for hit in b] for a, b in zip(adaptive, every, strict=True)]
        proven = [all(hit.proven for hit in own) for own in adaptive]
        print(f"{kind}: {np.mean(proven):.0%} of the lists proven, {np.mean(same):.0%} those of scoring every document")


if __name__ == "__main__":
    main()
