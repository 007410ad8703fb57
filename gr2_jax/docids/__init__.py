"""Docids: schemes that propose them, the assignment that makes them unique, the trie that holds them."""

from gr2_jax.docids.assignment import Assignment, Docid, assign_unique
from gr2_jax.docids.codes import ResidualCodes, residual_codes
from gr2_jax.docids.fusion import fusion_candidates
from gr2_jax.docids.trie import DocidTrie

__all__ = [
    "DocidTrie",
    "assign_unique",
    "Assignment",
    "Docid",
    "fusion_candidates",
    "residual_codes",
    "ResidualCodes",
]
