"""How often beam search is provably exact, what it takes until it is, and what exactness is worth.

python tests/benchmarks/certificate.py WORKDIR [--system S] [--beams 20 100 1000] [--queries N]

Every test query of a finished run, 20 documents each, against scoring every docid. Per number of beams: the queries
whose top 20, 10 and 1 are proven; those whose 20 documents are the true ones in the true order, proven or not; the mean
share of the true top 20 that is found; nDCG@20; milliseconds per query, compilation not included. Below it: the beams
that queries need until their top 20 is proven. A proven list that is not the true one, other than by equal scores, ends
the program with an error.
"""

import argparse
import time
from pathlib import Path

import jax
import numpy as np

from gr2_jax.decoding import SearchResult
from gr2_jax.evaluation import evaluate_run
from gr2_jax.evaluation.table import format_table
from gr2_jax.pipeline.prepare import read_corpus
from gr2_jax.pipeline.stage import Workdir
from gr2_jax.search import Retriever

K, CUTS, MEASURE = 20, (20, 10, 1), "nDCG@20"
EXACT, ADAPTIVE = "every docid", "adaptive"
COLUMNS = (*(f"proven top {cut}" for cut in CUTS), "true list", "true top 20 found", MEASURE, "ms/query")


def timed(retriever: Retriever, tokens: np.ndarray) -> tuple[SearchResult, float]:
    """The result, and milliseconds per query: of a second search, the first having compiled."""
    retriever.search_tokens(tokens, K)
    started = time.perf_counter()
    result = retriever.search_tokens(tokens, K)
    return result, 1000 * (time.perf_counter() - started) / len(tokens)


def equal(one: SearchResult, other: SearchResult) -> np.ndarray:
    """[Q]: whether the lists are the same, but for the order and the choice of documents that score the same."""
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
    """How many queries' top 20 each width of the adaptive search is the first to prove."""
    beams, most, left, said = retriever.options.beams, retriever.options.max_beams, tokens, []
    while True:
        unproven = ~np.asarray(retriever.with_options(beams=beams).search_tokens(left, K).all_proven)
        said.append(f"{beams:,} for {len(left) - unproven.sum():,}")
        left = left[unproven]
        if not len(left) or beams == most:
            return ", ".join([*said, f"more for {len(left):,}"])
        beams = min(4 * beams, most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir")
    parser.add_argument("--system")
    parser.add_argument("--beams", type=int, nargs="+", default=[20, 100, 1000])
    parser.add_argument("--queries", type=int, help="the first so many test queries (default: all)")
    options = parser.parse_args()
    retriever = Retriever.from_workdir(options.workdir, options.system)
    collection, split = read_corpus(Workdir(Path(options.workdir)))
    ids = list(split.test)[: options.queries]
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
