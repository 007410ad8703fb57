"""Tails: the rest of a docid below the node where no other docid passes. Nothing is left to choose there."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from gr2_jax.decoding.trie_arrays import TrieArrays, first_child, row_of


class Tail(NamedTuple):
    """R edges further down."""

    tokens: Int[Array, "B M R"]
    """On the edges; of no meaning where not `moves`."""
    moves: Bool[Array, "B M R"]
    """False from the end of the docid on."""
    nodes: Int[Array, "B M"]
    """Where the last move leads."""


def follow(trie: TrieArrays, nodes: Int[Array, "B M"], edges: Int[Array, ""], most: int) -> Tail:
    """Goes down the first child `edges` times, at most R = `most`, or to the end of the docid."""
    tokens, moves = [], []
    for i in range(most):
        move = (row_of(trie, nodes) < 0) & (i < edges)
        nodes = jnp.where(move, first_child(trie, nodes), nodes)
        tokens.append(trie.token[nodes].astype(jnp.int32))
        moves.append(move)
    return Tail(jnp.stack(tokens, axis=-1), jnp.stack(moves, axis=-1), nodes)
