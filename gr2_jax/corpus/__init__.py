"""Documents, queries and graded judgements in one shape, and where they come from."""

from gr2_jax.corpus.apidocs import read_apidocs
from gr2_jax.corpus.augment import pseudo_queries
from gr2_jax.corpus.collection import Collection, Document, read_collection, validate, write_collection
from gr2_jax.corpus.sources import load_collection, source_fingerprint
from gr2_jax.corpus.splits import Split, fold_split, split_queries

__all__ = [
    "load_collection",
    "source_fingerprint",
    "Collection",
    "Document",
    "read_collection",
    "write_collection",
    "validate",
    "read_apidocs",
    "Split",
    "split_queries",
    "fold_split",
    "pseudo_queries",
]
