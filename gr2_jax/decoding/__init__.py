"""Beam search inside one jit: over a trie of docids for retrieval, unconstrained for generating pseudo-queries."""

from gr2_jax.decoding.beams import Step
from gr2_jax.decoding.constrained import constrained_beam_search
from gr2_jax.decoding.exhaustive import exhaustive_search
from gr2_jax.decoding.free import beam_search
from gr2_jax.decoding.result import SearchResult
from gr2_jax.decoding.trie_arrays import TrieArrays

__all__ = [
    "constrained_beam_search",
    "exhaustive_search",
    "beam_search",
    "Step",
    "TrieArrays",
    "SearchResult",
]
