"""`python search_on_devices.py OUTPUT.npz`: the results of all kinds of search, on all available devices."""

import dataclasses
import sys

import jax
import numpy as np

from gr2_jax.docids import DocidTrie
from gr2_jax.models import GR2, T5Config
from gr2_jax.search.docid_vectors import VectorSettings
from gr2_jax.search.retriever import DocidTexts, Retriever
from gr2_jax.search.searcher import SearchOptions

CONFIG = T5Config(vocab_size=32, d_model=8, d_kv=4, d_ff=16, num_heads=2, num_encoder_layers=1, num_decoder_layers=1)
QUERIES, DOCUMENTS, K = 11, 43, 2  # eight devices hold 6 documents each, and the last one holds 1
FIELDS = ("rows", "scores", "valid", "pruned_bound")
SEARCHES = {
    "beams": {},
    "adaptive": {"exact": "adaptive", "max_beams": 16, "exhaustive_limit": 0},
    "adaptive, then all": {"exact": "adaptive", "max_beams": 1},
    "exhaustive": {"exact": "exhaustive"},
}
JOINT = {
    "joint": {"nearest": 5},
    "joint, adaptive": {"nearest": 5, "exact": "adaptive", "max_beams": 32, "exhaustive_limit": 0},
    "joint, exhaustive": {"exact": "exhaustive"},
    "joint, nearest": {"nearest": 9, "candidates": "nearest"},
    "joint, int8": {"nearest": 5, "vectors": "int8"},
    "joint, smoothed": {"nearest": 5, "smoothing": 1.0},
    "joint, smoothed, exhaustive": {"exact": "exhaustive", "smoothing": 1.0},
}
SHARDED = {f"{name}, sharded": changes | {"table": "sharded"} for name, changes in JOINT.items()}
"""The same with the table divided over the devices."""
ALL = {"table": "sharded", "trie": "sharded", "parameters": "sharded"}
DIVIDED = {
    "beams, trie sharded": ("beams", {"trie": "sharded"}),
    "beams, parameters sharded": ("beams", {"parameters": "sharded"}),
    "beams, all sharded": ("beams", ALL),
    "joint, parameters sharded": ("joint", {"nearest": 5, "parameters": "sharded"}),
    "joint, adaptive, all sharded": ("joint, adaptive", JOINT["joint, adaptive"] | ALL),
    "joint, exhaustive, all sharded": ("joint, exhaustive", JOINT["joint, exhaustive"] | ALL),
}
"""name -> the search whose results it must have, and its options: with the trie, the model or all divided."""
SCANNED = dataclasses.replace(CONFIG, scan_layers=True, dtype="bfloat16")


def retriever(config: T5Config = CONFIG) -> Retriever:
    rng = np.random.default_rng(0)
    docids = {tuple(rng.integers(2, 32, rng.integers(1, 6)).tolist()) for _ in range(2 * DOCUMENTS)}
    trie = DocidTrie.from_sequences(sorted(docids)[:DOCUMENTS])
    model = GR2(config)
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.ones((1, 2), int), np.ones((1, 1, 2), int))["params"]
    # a confident model that depends on the query: few beams prove some lists, not all
    scale = {"cross_attention": 3.0, "embedding": 4.0}
    params = jax.tree_util.tree_map_with_path(
        lambda path, x: rng.normal(scale=np.prod([scale.get(key.key, 1.0) for key in path]), size=x.shape), shapes
    )
    names = [f"d{row}" for row in range(DOCUMENTS)]
    options = SearchOptions(beams=8, batch=2)  # the last batch is not full, and some of eight devices get no query
    texts = DocidTexts(trie, str)
    return Retriever(model, jax.tree.map(np.float32, params), trie, np.arange(32), encode, names, texts, options)


def encode(texts: list[str]) -> np.ndarray:
    return np.array([np.random.default_rng(int(text)).integers(2, 32, 4) for text in texts], np.int32)


def main(output: str) -> None:
    tokens, base = encode([str(query) for query in range(QUERIES)]), retriever()
    seen = {"devices": np.array(jax.local_device_count())}
    for name, changes in SEARCHES.items():
        result = base.with_options(**changes).search_tokens(tokens, K, whole_batches=True)
        seen |= {f"{name}/{field}": array for field, array in zip(FIELDS, result, strict=False)}
    joint = dataclasses.replace(base, compares=VectorSettings("encoder", 0.5, "cosine"))
    for name, changes in (JOINT | SHARDED).items():
        result = joint.with_options(**changes).search_tokens(tokens, K, whole_batches=True)
        seen |= {f"{name}/{field}": array for field, array in result._asdict().items()}
    for name, changes in {"some": {}, "some, sharded": {"table": "sharded"}, "some, all sharded": ALL}.items():
        some = joint.with_options(nearest=5, **changes).only(joint.doc_ids[::3])
        result = some.search_tokens(tokens, K, whole_batches=True)
        seen |= {f"{name}/{field}": array for field, array in result._asdict().items()}
    if jax.local_device_count() > 1:
        for name, (whole, changes) in DIVIDED.items():
            searcher = joint if whole in JOINT else base
            result = searcher.with_options(**changes).search_tokens(tokens, K, whole_batches=True)
            seen |= {f"{name}/{field}": array for field, array in zip(FIELDS, result, strict=False)}
    for name, changes in {"scanned": {}, "scanned, all sharded": ALL}.items():
        scanned = dataclasses.replace(retriever(SCANNED), compares=VectorSettings("encoder", 0.5, "cosine"))
        scanned = scanned.with_options(nearest=5, **changes)
        result = scanned.search_tokens(tokens, K, whole_batches=True)
        seen |= {f"{name}/{field}": array for field, array in result._asdict().items()}
        read = scanned.token_log_likelihoods("1", scanned.doc_ids[:3])
        seen[f"{name}/tokens"] = np.array([value for docid in read for _, value in docid])
        seen[f"{name}/query vectors"] = scanned.query_vectors(["1", "2", "3"])
        seen[f"{name}/docid vectors"] = scanned.docid_vectors.values
    few = base.search_tokens(tokens[:3], K)  # fewer than a call on eight devices takes
    np.savez(output, **seen, **{f"few/{field}": array for field, array in zip(FIELDS, few, strict=False)})


if __name__ == "__main__":
    main(sys.argv[1])
