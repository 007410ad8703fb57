"""Sixty short documents, each with a query of its own."""

from gr2_jax.corpus import Collection, write_collection
from gr2_jax.corpus.collection import Document

WORDS = ["sort", "array", "matrix", "vector", "sparse", "dense", "solve", "root", "linear", "cubic"]
TEXTS = [f"{a} {b} {c}" for a in WORDS for b in WORDS[:3] for c in WORDS[5:7]]


def write_folder(folder, documents: list[Document], texts: list[str]) -> None:
    """Query i, "how to <text i>", is about document i, grade 2."""
    queries = {f"q{i}": f"how to {text}" for i, text in enumerate(texts)}
    qrels = {f"q{i}": {document.doc_id: 2} for i, document in enumerate(documents)}
    write_collection(Collection("small", tuple(documents), queries, qrels, {}), folder)
