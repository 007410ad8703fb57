"""Whether arrays that came from a file are a trie: every node is looked at, since a search follows each of them."""

import numpy as np
from jaxtyping import Bool, UInt

from gr2_jax.decoding.trie_arrays import BLOCK, STORED, TrieArrays
from gr2_jax.docids.trie_blocks import unpack

_CHUNK = 1 << 18  # nodes looked at at once


def is_trie(arrays: TrieArrays, docids: int, nodes: int, eos_id: int) -> bool:
    """Whether the arrays have the shapes and types of a trie of `docids` docids and `nodes` nodes, every node leads to
    later ones or is the end of a docid, and every row has one docid."""
    return _has_shapes(arrays, docids, nodes) and _has_ends(arrays, nodes) and _has_nodes(arrays, nodes, eos_id)


def _has_shapes(arrays: TrieArrays, docids: int, nodes: int) -> bool:
    stored = [getattr(arrays, name) for name in STORED]
    token, base, offset, wide, leaf_bits, leaves_before, row, alone_bits = stored
    blocks = nodes // BLOCK + 1
    shapes = (nodes,), (blocks,), (BLOCK * blocks,), (len(wide), BLOCK), (blocks,), (blocks,), (docids,), (blocks,)
    return (
        docids > 0
        and tuple(array.shape for array in stored) == shapes
        and token.dtype in (np.uint16, np.int32)
        and (offset.dtype, leaf_bits.dtype, alone_bits.dtype) == (np.uint8, np.uint32, np.uint32)
        and all(array.dtype == np.int32 for array in (base, wide, leaves_before, row))
    )


def _has_ends(arrays: TrieArrays, nodes: int) -> bool:
    """Whether the tables are all in use, the root's child is node 1, and the leaves are those that were counted."""
    counts = np.bitwise_count(arrays.leaf_bits)
    named = np.zeros(len(arrays.row), bool)
    in_range = arrays.row.min() >= 0 and arrays.row.max() < len(named)
    if in_range:
        named[arrays.row] = True
    return (
        len(arrays.wide) > 0
        and arrays.base.min() == -len(arrays.wide)
        and unpack(arrays, 0, 1)[0] == 1
        and arrays.token[0] == 0
        and bool(np.array_equal(arrays.leaves_before, np.cumsum(counts, dtype=np.int64) - counts))
        and counts.sum(dtype=np.int64) == len(named)
        and bool(named.all())
    )


def _has_nodes(arrays: TrieArrays, nodes: int, eos_id: int) -> bool:
    leaf, alone = (_bits(words, nodes) for words in (arrays.leaf_bits, arrays.alone_bits))
    if leaf is None or alone is None:
        return False
    for start in range(0, nodes, _CHUNK):
        stop = min(start + _CHUNK, nodes)
        here, first = slice(start, stop), unpack(arrays, start, stop + 1).astype(np.int64)
        children = np.diff(first)
        if (first[:-1] <= np.arange(start, stop)).any() or (children < 0).any() or first.max() > nodes:
            return False
        only = (children == 1) & alone[np.minimum(first[:-1], nodes - 1)]
        token = arrays.token[here]
        fits = (leaf[here] == (children == 0)) & (alone[here] == (leaf[here] | only))
        fits &= (leaf[here] == (token == eos_id)) & ((token > 0) | (np.arange(start, stop) == 0))  # not the root
        if not fits.all():
            return False
    return bool(unpack(arrays, nodes, nodes + 1)[0] == nodes)


def _bits(words: UInt[np.ndarray, "blocks"], nodes: int) -> Bool[np.ndarray, "nodes"] | None:
    """A bit per node; None where one is set after the last node."""
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little").astype(bool)
    return None if bits[nodes:].any() else bits[:nodes]
