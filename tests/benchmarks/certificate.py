"""How often beam search is provably exact, how many beams that needs, and what exactness is worth.

python tests/benchmarks/certificate.py WORKDIR [--row R] [--beams 20 100 1000] [--queries N]

Compares beam search with scoring every docid, on the test queries of a finished run, 20 documents each. Per number of
beams: the share of queries whose top 20, 10 and 1 are proven; the share whose 20 documents are the true ones in the
true order, proven or not; the mean share of the true top 20 that is found; nDCG@20; milliseconds per query without
compilation. Below the table: the beams that queries need until their top 20 is proven. The program ends with an error
if a proven list is not the true one, equal scores aside.
"""

import argparse
import time

import jax
import numpy as np

from gr2_jax.decoding import SearchResult
from gr2_jax.evaluation import evaluate_run
from gr2_jax.evaluation.table import format_table
from gr2_jax.pipeline.open_run import open_row
from gr2_jax.search import Retriever

K, CUTS, MEASURE = 20, (20, 10, 1), "nDCG@20"
EXACT, ADAPTIVE = "every docid", "adaptive"
COLUMNS = (*(f"proven top {cut}" for cut in CUTS), "true list", "true top 20 found", MEASURE, "ms/query")


def timed(retriever: Retriever, tokens: np.ndarray) -> tuple[SearchResult, float]:
    """The result, and milliseconds per query of a second search; the first compiles."""
    retriever.search_tokens(tokens, K)
    started = time.perf_counter()
    result = retriever.search_tokens(tokens, K)
    return result, 1000 * (time.perf_counter() - started) / len(tokens)


def equal(one: SearchResult, other: SearchResult) -> np.ndarray:
    """[Q]: whether the lists are the same, apart from the order and the choice of documents with equal scores."""
    at = one.valid & other.valid
    same_scores = np.isclose(one.scores, other.scores, rtol=1e-5, atol=1e-4) | ~at
    return (one.valid == other.valid).all(axis=1) & same_scores.all(axis=1)


def found(result: SearchResult, truth: SearchResult) -> float:
    shares = [
        len(np.intersect1d(a[a >= 0], b[b >= 0])) / (b >= 0).sum() for a, b in zip(result.rows, truth.rows, strict=True)
    ]
    return float(np.mean(shares))


def figures(name: str, result: SearchResult, ms: float, truth: SearchResult, ids, qrels, doc_ids) -> dict:
    right = equal(result, truth)
    if np.any(np.asarray(result.all_proven) & ~right):
        raise SystemExit(f"{name}: query {ids[np.flatnonzero(result.all_proven & ~right)[0]]} is proven, and wrong")
    ranked = zip(ids, result.rows, result.scores, strict=True)
    run = {
        q: [(doc_ids[r], float(s)) for r, s in zip(rows, scores, strict=True) if r >= 0] for q, rows, scores in ranked
    }
    proven = {f"proven top {cut}": float(np.mean(result.best(cut).all_proven)) for cut in CUTS}
    measured = {MEASURE: evaluate_run(run, qrels, [MEASURE])[MEASURE], "ms/query": ms}
    return proven | {"true list": float(right.mean()), "true top 20 found": found(result, truth)} | measured


def beams_needed(retriever: Retriever, tokens: np.ndarray) -> str:
    """For each width of the adaptive search, the number of queries whose top 20 it is the first to prove."""
    beams, most, left, counts = retriever.options.beams, retriever.options.max_beams, tokens, []
    while True:
        unproven = ~np.asarray(retriever.with_options(beams=beams).search_tokens(left, K).all_proven)
        counts.append(f"{beams:,} for {len(left) - unproven.sum():,}")
        left = left[unproven]
        if not len(left) or beams == most:
            return ", ".join([*counts, f"more for {len(left):,}"])
        beams = min(4 * beams, most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir")
    parser.add_argument("--row", help="a row that writes docids (default: the first)")
    parser.add_argument("--beams", type=int, nargs="+", default=[20, 100, 1000])
    parser.add_argument("--queries", type=int, help="the first N test queries (default: all)", metavar="N")
    options = parser.parse_args()
    opened = open_row(options.workdir, options.row)
    retriever, collection = opened.searcher, opened.run.corpus
    if not isinstance(retriever, Retriever):
        raise SystemExit(f"row {opened.row} writes no docids: give --row")
    ids = list(opened.run.split.test)[: options.queries]
    qrels = {query: collection.qrels[query] for query in ids}
    tokens = retriever.encode([collection.queries[query] for query in ids])
    print(f"{len(ids)} queries, {retriever.trie.num_docids:,} docids, {jax.devices()[0].device_kind}", flush=True)
    searches = {f"{beams:,} beams": {"beams": beams} for beams in options.beams}
    searches |= {ADAPTIVE: {"exact": "adaptive"}, EXACT: {"exact": "exhaustive"}}
    results = {name: timed(retriever.with_options(**changes), tokens) for name, changes in searches.items()}
    truth = results[EXACT][0]
    rows = {
        name: figures(name, result, ms, truth, ids, qrels, retriever.doc_ids) for name, (result, ms) in results.items()
    }
    print(format_table(rows, COLUMNS, heading="search"))
    print(f"beams until the top {K} is proven: {beams_needed(retriever, tokens)} queries")


if __name__ == "__main__":
    main()
