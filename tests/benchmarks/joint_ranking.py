"""What joint ranking costs and finds: ways to candidates, types of the vector table, and a large corpus.

python tests/benchmarks/joint_ranking.py WORKDIR [--row R]           quality and time on the run's test queries
python tests/benchmarks/joint_ranking.py --docids 3793 1000000       time alone, random docids and weights

Per way: milliseconds per query without compilation (median of the rounds, the ways take turns), in batches of 50; the
share of the lists that are proven; on a run nDCG@20 and P@20. Per type of table: bytes per document, and the largest
difference of a cosine from float32's. From 10,000 docids on the exact ways search one query; with random weights
no list can be proven early, so that "adaptive" takes the longest that it can.
"""

import argparse
import dataclasses
import statistics
import time

import jax
import numpy as np
from trie_scale import distinct_docids

from gr2_jax.docids import DocidTrie
from gr2_jax.evaluation import evaluate_run
from gr2_jax.models import GR2, preset
from gr2_jax.pipeline.open_run import open_row
from gr2_jax.search.docid_vectors import VectorSettings
from gr2_jax.search.retriever import Retriever
from gr2_jax.search.searcher import SearchOptions

MEASURES = ("nDCG@20", "P@20")
_FEW = 1
TYPES = ("float32", "bfloat16", "int8")
WAYS = {
    "likelihood, 20 beams": {"ranking": "likelihood"},
    "beams": {"candidates": "beams"},
    "nearest 100": {"candidates": "nearest"},
    "both, nearest 20": {"nearest": 20},
    "both, nearest 100": {},
    "adaptive": {"exact": "adaptive"},
    "exhaustive": {"exact": "exhaustive"},
}


def synthetic(count: int) -> Retriever:
    """The quickstart's model with random weights over `count` random docids."""
    trie = DocidTrie.from_sequences(distinct_docids(count, 0))
    config = preset("scratch", vocab_size=32_128, num_encoder_layers=0, num_decoder_layers=1, dropout_rate=0.0)
    model = GR2(config, tuple(trie.tokens.tolist()))
    params = jax.jit(model.init)(jax.random.key(0), np.ones((1, 2), np.int32), np.ones((1, 1, 2), np.int32))["params"]
    columns = np.zeros(config.vocab_size, np.int32)
    columns[trie.tokens] = np.arange(len(trie.tokens))
    names = np.arange(count).astype(str)
    compares = VectorSettings("encoder", 0.05, "cosine")
    return Retriever(model, params, trie, columns, encode, names, names, SearchOptions(), compares)


def encode(texts: list[str]) -> np.ndarray:
    return np.stack([np.random.default_rng(int(text)).integers(3, 32_000, 12, dtype=np.int32) for text in texts])


def timed(ways: dict[str, Retriever], queries: list[str], rounds: int) -> dict[str, tuple[list, float]]:
    """Each way's hits and milliseconds per query."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    hits = {name: way.search(queries, 20) for name, way in ways.items()}  # compiles
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way.search(queries, 20)
            seconds[name].append(time.perf_counter() - started)
    return {name: (hits[name], 1000 * statistics.median(seconds[name]) / len(queries)) for name in ways}


def report(retriever: Retriever, queries: dict[str, str], qrels: dict | None, ways: dict, rounds: int) -> None:
    found = timed({name: retriever.with_options(**way) for name, way in ways.items()}, list(queries.values()), rounds)
    for name, (hits, milliseconds) in found.items():
        proven = np.mean([all(hit.proven for hit in own) for own in hits])
        line = f"{name:22} {milliseconds:8.2f} ms/query  {proven:6.1%} proven"
        if qrels is not None:
            run = {q: [(hit.doc_id, hit.score) for hit in own] for q, own in zip(queries, hits, strict=True)}
            scores = evaluate_run(run, qrels, MEASURES)
            line += "".join(f"  {measure} {scores[measure]:.4f}" for measure in MEASURES)
        print(line, flush=True)


def report_types(retriever: Retriever) -> None:
    tables = {kind: dataclasses.replace(retriever, vectors=None).with_options(vectors=kind) for kind in TYPES}
    tables = {kind: each.docid_vectors for kind, each in tables.items()}
    exact = tables["float32"].values[:1000]
    for kind, table in tables.items():
        some = table.values[:1000].astype(np.float32)
        some = some if table.scales is None else some * table.scales[:1000, None]
        error = np.abs(some @ exact.T - exact @ exact.T).max()
        print(f"{kind:10} {table.nbytes / len(table.values):7.1f} bytes a document, cosines within {error:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", nargs="?")
    parser.add_argument("--row")
    parser.add_argument("--docids", type=int, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.workdir:
        opened = open_row(options.workdir, options.row)
        print(f"{options.workdir}, w = {opened.searcher.options.weight}")
        report_types(opened.searcher)
        report(opened.searcher, opened.run.queries("test"), opened.run.qrels("test"), WAYS, options.rounds)
    for count in options.docids:
        retriever = synthetic(count)
        print(f"\n{count:,} docids: trie {retriever.trie.nbytes / count:.1f} bytes a document")
        report_types(retriever)
        ways = WAYS if count < 10_000 else {name: way for name, way in WAYS.items() if "exact" not in way}
        report(retriever, {str(i): str(i) for i in range(100)}, None, ways, options.rounds)
        if count >= 10_000:
            exact = {"adaptive": {"exact": "adaptive"}}
            exact["exhaustive"] = {"exact": "exhaustive", "exhaustive_limit": count}
            report(retriever, {str(i): str(i) for i in range(_FEW)}, None, exact, 1)


if __name__ == "__main__":
    main()
