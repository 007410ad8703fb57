"""Small rows to serve: words over a few documents, one of them hostile, and a model with random parameters."""

import contextlib
import threading
from collections.abc import Iterator

import jax
import numpy as np
import uvicorn

from gr2_jax.corpus import Document
from gr2_jax.docids import DocidTrie
from gr2_jax.models import GR2, T5Config
from gr2_jax.search.bm25 import BM25
from gr2_jax.search.opened import OpenRetriever
from gr2_jax.search.retriever import DocidTexts, Retriever
from gr2_jax.search.searcher import SearchOptions
from gr2_jax.serving.app import make_app
from gr2_jax.serving.judged import JudgedQueries
from gr2_jax.serving.rows import ServedRows

HOSTILE = '<img src=x onerror="document.title=1"><b>bold</b> title'
DOCUMENTS = [
    Document("d1", "Sorting arrays", "How to sort an array by its keys.\nA second line."),
    Document("d2", HOSTILE, "Arrays of <script>document.title = 'broken'</script> text."),
    Document("a/../d 3", "Path", "An array whose id looks like a path."),
    Document("d4", "", "Roots of cubic polynomials, without a title. " + "long " * 200),
    Document("d5", "日本語の文書", "配列を並べ替える array"),
]
JUDGED = JudgedQueries(
    {"q1": "sort an array", "q2": "cubic roots", "q3": "nobody judged this"},
    {"q1": {"d1": 4, "d2": 1, "a/../d 3": 0}, "q2": {"d4": 2}},
)
DOCIDS = [(4,), (4, 9), (9, 4, 4), (13, 4), (9,)]
WORDS = {4: "▁array", 9: "▁sort", 13: "ing"}
CONFIG = T5Config(vocab_size=16, d_model=8, d_kv=4, d_ff=8, num_heads=2, num_encoder_layers=1, num_decoder_layers=1)


def words() -> OpenRetriever:
    ids = [document.doc_id for document in DOCUMENTS]
    texts = [f"{document.title} {document.text}" for document in DOCUMENTS]
    return OpenRetriever(BM25(ids, texts), "BM25", {document.doc_id: document for document in DOCUMENTS}, "here")


def encode(texts):
    """Each letter a token from 2 to 15, at most 7 of them, and the end."""
    rows = [[2 + ord(letter) % 14 for letter in text][:7] for text in texts]
    return np.array([[*row, 1] + [0] * (7 - len(row)) for row in rows], np.int32)


def generative() -> Retriever:
    trie = DocidTrie.from_sequences(DOCIDS)
    model = GR2(CONFIG, tuple(trie.tokens.tolist()))
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.ones((1, 2), int), np.ones((1, 1, 2), int))["params"]
    rng = np.random.default_rng(5)
    columns = np.zeros(16, np.int32)
    columns[trie.tokens] = np.arange(len(trie.tokens))
    return Retriever(
        model=model,
        params=jax.tree.map(lambda x: rng.normal(scale=0.7, size=x.shape).astype(np.float32), shapes),
        trie=trie,
        columns=columns,
        encode=encode,
        doc_ids=[document.doc_id for document in DOCUMENTS],
        docid_texts=DocidTexts(trie, lambda ids: "".join(WORDS[i] for i in ids).replace("▁", " ").strip()),
        options=SearchOptions(beams=6, batch=4),
    )


def model_row() -> OpenRetriever:
    return OpenRetriever(generative(), "GR2S", {document.doc_id: document for document in DOCUMENTS}, "here")


def served(**settings) -> ServedRows:
    return ServedRows("small", [model_row(), words()], JUDGED, **settings)


@contextlib.contextmanager
def running(rows: ServedRows) -> Iterator[str]:
    """The URL of a server in a thread."""
    server = uvicorn.Server(uvicorn.Config(make_app(rows), port=0, log_level="error", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.05)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
