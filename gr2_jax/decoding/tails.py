"""Tails: the rest of a docid below a node that no other docid passes through, where the search has no choice."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from gr2_jax.decoding.trie_arrays import TrieArrays, first_child, row_of


class Tail(NamedTuple):
    """A path of R edges down the trie from each beam's node."""

    tokens: Int[Array, "B M R"]
    """The tokens on the edges; undefined where `moves` is False."""
    moves: Bool[Array, "B M R"]
    """False from the end of the docid on."""
    nodes: Int[Array, "B M"]
    """The node that the last move reaches."""


def follow(trie: TrieArrays, nodes: Int[Array, "B M"], edges: Int[Array, ""], most: int) -> Tail:
    """Follows first children for `edges` edges (at most R = `most`), or to the end of the docid."""
    tokens, moves = [], []
    for i in range(most):
        move = (row_of(trie, nodes) < 0) & (i < edges)
        nodes = jnp.where(move, first_child(trie, nodes), nodes)
        tokens.append(trie.token[nodes].astype(jnp.int32))
        moves.append(move)
    return Tail(jnp.stack(tokens, axis=-1), jnp.stack(moves, axis=-1), nodes)
