"""Memory and time of a search by docids, beside dense vectors and BM25, as the corpus grows: the paper's claims of
efficiency, without training, on random weights, random docids and random vectors.

python tests/benchmarks/efficiency.py [--shape quickstart tiny base] [--documents 10000 100000 1000000] [--batch 1 8]

The rows, all of which find 20 documents:
- likelihood: 20 beams over the docid trie, as the paper ranks
- joint: these and the 100 nearest docids, with a table of float32 vectors, as the quickstart ranks
- dense exact: the query's vector by the encoder of the same T5, and the product with every document's, as a row Dense
  searches; "dense, flat" the same products by faiss
- dense, IVF: faiss, sqrt(N) lists, of which 16 are searched; "dense, IVF-PQ" with a byte for 8 dimensions of a vector
- BM25: bm25s. Documents of `--words` words; the word of rank r is drawn in proportion to 1/r, out of a million
faiss is in the extra `peers`; without it one line says that its rows are left out.

Memory is what arrays and indexes hold, counted, not measured of the process: trie, docids and vectors; faiss's index as
it is written; bm25s's matrix and words; and the weights in float32, of a dense row those of the encoder. It does not
depend on training. How good the lists are does, and is not measured: an index over random vectors finds few of the
nearest.

Docids: `trie_scale.distinct_docids`, 5 to 14 tokens, 9 in the mean. Queries: 4 to 16 random tokens, with which every
row but BM25 begins; BM25 begins with as many words. The rows take turns in one process on one core (`--threads`): times
are medians of the rounds, ratios the medians of the rounds' ratios, with the least and the largest. `--rounds 0` counts
memory alone, without faiss's rows, whose indexes would have to be made.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import jax
import numpy as np
from searches import SHAPES, draw_queries, take_turns
from trie_scale import distinct_docids

from gr2_jax.docids import DocidTrie
from gr2_jax.models import GR2, T5Config
from gr2_jax.models.bi_encoder import BiEncoder
from gr2_jax.pipeline.generative import model_over
from gr2_jax.planning.generated_collection import made_up_words, zipf_steps
from gr2_jax.recipes.scratch import MODEL
from gr2_jax.search.bm25 import BM25
from gr2_jax.search.dense import nearest_rows
from gr2_jax.search.docid_vectors import DocidVectors, VectorSettings
from gr2_jax.search.retriever import DocidTexts, Retriever
from gr2_jax.search.searcher import SearchOptions

VOCABULARY = 1 << 14  # of the docids
QUICKSTART = MODEL.t5(VOCABULARY)
LISTED, BEAMS, NEAREST, LISTS_SEARCHED = 20, 20, 100, 16
DIFFERENT_WORDS = 1_000_000
HEADER = "documents  row             index MB  model MB    ms/query  memory, dense exact / row  time, dense exact / row"


class System(NamedTuple):
    """A row: its bytes, and its search for queries by their numbers; None where only memory is counted."""

    index: int
    model: int
    search: Callable[[np.ndarray], Any] | None


class Corpus(NamedTuple):
    """trie and vectors belong to the same documents; `queries` are tokens, `words` the queries of BM25."""

    trie: DocidTrie
    vectors: np.ndarray
    queries: np.ndarray
    words: list[str]


def make_corpus(count: int, config: T5Config, options: argparse.Namespace) -> Corpus:
    rng = np.random.default_rng(options.seed)
    trie = DocidTrie.from_sequences(distinct_docids(count, options.seed))
    vectors = np.broadcast_to(np.float32(0), (count, config.d_model))  # takes no memory, and is counted alike
    if options.rounds:
        with tempfile.TemporaryFile() as file:  # mapped, as those of a run are
            vectors = np.memmap(file, np.float32, "w+", shape=(count, config.d_model))
        vectors[:] = rng.standard_normal(vectors.shape, np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = draw_queries(options.queries, options.seed, VOCABULARY)
    lengths = np.count_nonzero(queries, axis=1)
    return Corpus(trie, vectors, queries, list(texts(lengths, rng)))


def texts(lengths: np.ndarray, rng: np.random.Generator) -> Iterator[str]:
    """Texts of so many words by Zipf's law."""
    words = np.array(list(islice(made_up_words(), DIFFERENT_WORDS)), object)
    steps = zipf_steps(DIFFERENT_WORDS, 1.0)
    for length in lengths:
        yield " ".join(words[np.searchsorted(steps, rng.random(length), side="right")])


def bytes_of(params: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))


def weights_of(model: GR2 | BiEncoder, inputs: int, options: argparse.Namespace) -> tuple[Any, int]:
    """Random weights, or only their shapes where nothing is searched; and their bytes."""
    tokens = [np.ones((1, 2), np.int32), np.ones((1, 1, 2), np.int32)][:inputs]
    make = partial(lambda *tokens: model.init(jax.random.key(options.seed), *tokens)["params"], *tokens)
    params = jax.jit(make)() if options.rounds else jax.eval_shape(make)
    return params, bytes_of(params)


def generative(config: T5Config, corpus: Corpus, batch: int, options: argparse.Namespace) -> dict[str, System]:
    trie, vectors = corpus.trie, DocidVectors(corpus.vectors)
    model = model_over(config, trie)
    params, size = weights_of(model, 2, options)
    retriever = Retriever(
        model=model,
        params=params,
        trie=trie,
        columns=trie.columns(VOCABULARY),
        encode=np.stack,
        doc_ids=range(trie.num_docids),
        docid_texts=DocidTexts(trie, str),
        options=SearchOptions(beams=BEAMS, nearest=NEAREST, batch=batch),
        compares=VectorSettings("encoder", 0.1, "cosine"),
        vectors=vectors,
    )

    def system(ranking: str) -> System:
        own = retriever.with_options(ranking=ranking)
        # a joint search also reads the docids themselves
        docids = trie.docids_with_ends().nbytes if ranking == "joint" else 0
        return System(
            own.index_bytes + docids,
            size,
            lambda numbers: own.search_tokens(corpus.queries[numbers], LISTED, whole_batches=True),
        )

    return {ranking: system(ranking) for ranking in ("likelihood", "joint")}


def dense(config: T5Config, corpus: Corpus, batch: int, options: argparse.Namespace) -> dict[str, System]:
    model = BiEncoder(config)
    params, size = weights_of(model, 1, options)
    read = jax.jit(lambda params, tokens: model.apply({"params": params}, tokens))
    vectors = corpus.vectors

    def encode(numbers: np.ndarray) -> np.ndarray:
        return np.asarray(read(params, corpus.queries[numbers]))

    systems = {
        "dense exact": System(
            vectors.nbytes, size, lambda numbers: nearest_rows(encode(numbers), vectors, LISTED, batch=batch)
        )
    }
    for name, index in faiss_indexes(vectors, options).items() if options.rounds else ():
        systems[name] = System(
            faiss_bytes(index), size, lambda numbers, index=index: index.search(encode(numbers), LISTED)
        )
    return systems


def faiss_indexes(vectors: np.ndarray, options: argparse.Namespace) -> dict[str, Any]:
    try:
        import faiss
    except ModuleNotFoundError:
        print("faiss is not installed (extra `peers`): its rows are left out")
        return {}
    faiss.omp_set_num_threads(options.threads)
    width, lists = vectors.shape[1], max(1, round(len(vectors) ** 0.5))
    names = {"flat": "Flat", "IVF": f"IVF{lists},Flat", "IVF-PQ": f"IVF{lists},PQ{width // 8}"}
    indexes = {}
    for name, factory in names.items():
        index = faiss.index_factory(width, factory, faiss.METRIC_INNER_PRODUCT)
        if name != "flat":
            index.cp.niter, index.cp.max_points_per_centroid = 10, 64  # enough for random vectors
            index.nprobe = min(LISTS_SEARCHED, lists)
        index.train(vectors)
        index.add(vectors)
        indexes[f"dense, {name}"] = index
    return indexes


def faiss_bytes(index: Any) -> int:
    import faiss

    return faiss.serialize_index(index).nbytes


def lexical(count: int, corpus: Corpus, options: argparse.Namespace) -> dict[str, System]:
    if count > options.most_for_bm25:
        return {}
    rng = np.random.default_rng(options.seed)
    index = BM25([str(row) for row in range(count)], texts(np.full(count, options.words), rng))
    return {
        "BM25": System(
            index.index_bytes, 0, lambda numbers: index.search([corpus.words[number] for number in numbers], LISTED)
        )
    }


def measure(count: int, systems: dict[str, System], batch: int, options: argparse.Namespace) -> None:
    times: dict[str, np.ndarray] = {}
    if options.rounds:
        batches = np.split(np.arange(options.queries // batch * batch), options.queries // batch)
        searches = {name: system.search for name, system in systems.items()}
        speeds = take_turns(searches, batches, options.rounds)
        times = {name: 1000 / np.array(own) for name, own in speeds.items()}
    whole = sum(systems["dense exact"][:2])
    for name, system in systems.items():
        memory = f"{system.index / 1e6:10.2f}{system.model / 1e6:10.2f}"
        told, ratio = "-", "-"
        if times:
            told = f"{statistics.median(times[name]):.2f}"
            ratios = sorted(times["dense exact"] / times[name])
            ratio = f"{statistics.median(ratios):.3g} ({ratios[0]:.3g} to {ratios[-1]:.3g})"
        print(
            f"{count:<11,}{name:14}{memory}{told:>12}{whole / (system.index + system.model):>27.3g}  {ratio}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shapes = {"quickstart": QUICKSTART, **SHAPES}
    parser.add_argument("--shape", nargs="+", choices=shapes, default=["quickstart"])
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--queries", type=int, default=16, help="a turn serves as many, in whole batches")
    parser.add_argument("--words", type=int, default=60, help="of a document of BM25")
    parser.add_argument("--most-for-bm25", type=int, default=1_000_000, help="documents, beyond which it is left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])  # XLA starts its threads later
    print(f"{options.threads} threads, jax {jax.__version__} on {jax.devices()[0].device_kind}")
    for count in options.documents:
        for shape in options.shape:
            config = shapes[shape]
            corpus = make_corpus(count, config, options)
            words = lexical(count, corpus, options)
            for batch in options.batch if options.rounds else [1]:
                systems = generative(config, corpus, batch, options) | dense(config, corpus, batch, options) | words
                about = f"{corpus.trie.nbytes / count:.1f} bytes of trie a docid, {len(corpus.trie.tokens):,} tokens"
                print(f"\n{shape}, batch {batch}, {about}\n{HEADER}")
                measure(count, systems, batch, options)


if __name__ == "__main__":
    main()
