"""Docids: schemes that propose them, the assignment that makes them unique, the trie that holds them."""

from gr2_jax.docids.assignment import Assignment, assign_unique
from gr2_jax.docids.candidate_shards import make_shards, read_shards
from gr2_jax.docids.candidates import pack_candidates
from gr2_jax.docids.codes import Codes, centroids_elsewhere, nearest_tuples, product_codes, residual_codes
from gr2_jax.docids.hierarchy import hierarchical_codes, random_numbers
from gr2_jax.docids.pseudo_queries import Writer, Writing, fusion_writer, query_writer
from gr2_jax.docids.trie import DocidTrie
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
