"""The trie of all docids as the search reads it: flat arrays on the device, read only by gathers.

Nodes are numbered level by level, so the children of a node are contiguous and the next node's children follow them:
one number per node, `first_child`, encodes all edges. It ascends, mostly slowly, so 32 nodes share an int32 base and
have a byte offset each. One bit per node marks leaves (the ends of docids), another marks nodes of only one docid.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, UInt

BLOCK = 32
"""Nodes that share a base: the bits of one word of `leaf_bits`."""


class TrieArrays(NamedTuple):
    """A prefix trie as flat arrays, nodes numbered level by level, the root 0; blocks = nodes // 32 + 1.

    The children of node n are the nodes first_child(n) .. first_child(n + 1) - 1, by ascending token, except that the
    end-of-docid edge, an ordinary edge to a leaf, comes FIRST among its siblings. Only ends of docids are leaves.
    """

    token: Int[Array, "nodes"]
    """The token on the edge into the node (any integer type; 0 at the root)."""
    base: Int[Array, "blocks"]
    """first_child of the first node of a block; -1 - i for a block whose own list is wide[i]."""
    offset: UInt[Array, "32*blocks"]
    """uint8: first_child of the node, less the base of its block (unused in a wide block)."""
    wide: Int[Array, "wides 32"]
    """first_child of each node of a block whose offsets exceed a byte; block 0, the root's, is always one."""
    leaf_bits: UInt[Array, "blocks"]
    """uint32: bit i tells whether node i of the block is a leaf."""
    leaves_before: Int[Array, "blocks"]
    """The number of leaves in the blocks before."""
    row: Int[Array, "docids"]
    """The document's row, for each leaf in the order of the nodes."""
    alone_bits: UInt[Array, "blocks"]
    """uint32: bit i tells whether only one docid passes through node i of the block, or ends there."""
    allowed_bits: UInt[Array, "blocks"] | None = None
    """uint32: bit i tells whether a docid that may be found passes through node i of the block, or ends there; None:
    all may. A trie on disk has none."""


STORED = TrieArrays._fields[:-1]
"""The arrays of a trie on disk."""


def first_child(trie: TrieArrays, nodes: Int[Array, "*shape"]) -> Int[Array, "*shape"]:
    """Returns the first child of each node; for a leaf, the next node's. `nodes` may include the number of nodes."""
    base = trie.base[nodes // BLOCK]
    wide = trie.wide[jnp.maximum(-1 - base, 0), nodes % BLOCK]
    return jnp.where(base < 0, wide, base + trie.offset[nodes].astype(jnp.int32))


def row_of(trie: TrieArrays, nodes: Int[Array, "*shape"]) -> Int[Array, "*shape"]:
    """Returns the row of the document whose docid ends at each node, -1 where none does."""
    word = trie.leaf_bits[nodes // BLOCK]
    bit = jnp.uint32(1) << (nodes % BLOCK).astype(jnp.uint32)
    rank = trie.leaves_before[nodes // BLOCK] + lax.population_count(word & (bit - 1)).astype(jnp.int32)
    return jnp.where(word & bit, trie.row[jnp.minimum(rank, len(trie.row) - 1)], -1)


def has_one_docid(trie: TrieArrays, nodes: Int[Array, "*shape"]) -> Bool[Array, "*shape"]:
    """Whether only one docid passes through each node: below it, nothing branches."""
    return _bit(trie.alone_bits, nodes)


def is_allowed(trie: TrieArrays, nodes: Int[Array, "*shape"]) -> Bool[Array, "*shape"]:
    """Whether a docid that may be found passes through each node, or ends there."""
    return jnp.ones(nodes.shape, bool) if trie.allowed_bits is None else _bit(trie.allowed_bits, nodes)


def _bit(bits: UInt[Array, "blocks"], nodes: Int[Array, "*shape"]) -> Bool[Array, "*shape"]:
    return (bits[nodes // BLOCK] >> (nodes % BLOCK).astype(jnp.uint32)) & 1 == 1
