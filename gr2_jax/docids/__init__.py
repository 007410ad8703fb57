"""Docids: schemes that propose them, the assignment that makes them unique, the trie that holds them."""

import importlib

from gr2_jax.docids.assignment import Assignment, assign_unique
from gr2_jax.docids.candidate_shards import make_shards, read_shards
from gr2_jax.docids.candidates import pack_candidates
from gr2_jax.docids.codes import Codes, centroids_elsewhere, nearest_tuples, product_codes, residual_codes
from gr2_jax.docids.hierarchy import hierarchical_codes, random_numbers
from gr2_jax.docids.urls import url_text

__all__ = [
    "DocidTrie",
    "assign_unique",
    "Assignment",
    "pack_candidates",
    "make_shards",
    "read_shards",
    "fusion_writer",
    "query_writer",
    "Writer",
    "Writing",
    "residual_codes",
    "product_codes",
    "Codes",
    "nearest_tuples",
    "centroids_elsewhere",
    "hierarchical_codes",
    "random_numbers",
    "url_text",
]

_WITH_JAX = {"DocidTrie": "trie"} | dict.fromkeys(
    ("fusion_writer", "query_writer", "Writer", "Writing"), "pseudo_queries"
)


def __getattr__(name: str):
    """What needs JAX is imported when it is asked for: a worker process that makes candidates needs none."""
    if name in _WITH_JAX:
        return getattr(importlib.import_module(f"{__name__}.{_WITH_JAX[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
