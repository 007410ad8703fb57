"""The trie's arrays from sorted docids, level by level."""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int

from gr2_jax.decoding.trie_arrays import TrieArrays
from gr2_jax.docids.tokens import MOST_INT32
from gr2_jax.docids.trie_blocks import BlockPacker, pack_bits, pack_leaves
from gr2_jax.docids.trie_sort import CHUNK, token_dtype
from gr2_jax.errors import UserError


def shared_prefix(columns: Int[np.ndarray, "Ti N"]) -> Int[np.ndarray, "N"]:
    """Returns how many leading tokens, padding included, each sorted docid shares with the one before; 0 for the first.

    Ti of them: the two are the same.
    """
    same = np.ones(columns.shape[1] - 1, bool)
    shared = np.zeros(columns.shape[1], np.min_scalar_type(len(columns)))
    for column in columns:
        same &= column[1:] == column[:-1]
        shared[1:] += same
    return shared


def build_arrays(
    columns: Int[np.ndarray, "Ti N"], shared: Int[np.ndarray, "N"], order: Int[np.ndarray, "N"], eos_id: int
) -> TrieArrays:
    """Lays out the nodes of sorted, distinct docids level by level; a node stands where its first docid does.

    Docid i has nodes of its own from position shared[i], where it first differs from the docid before, to its end; the
    end's edge takes the place of its first 0 of padding.

    Raises:
      UserError: too many nodes.
    """
    nodes = 1 + int(np.count_nonzero(columns)) + len(order) - int(shared.sum(dtype=np.int64))
    if nodes > MOST_INT32:
        raise UserError(f"a docid trie holds at most {MOST_INT32:,} nodes; these docids need {nodes:,}")
    token = np.zeros(nodes, np.promote_types(columns.dtype, token_dtype(eos_id)))
    alone, following = np.zeros(nodes, bool), np.append(shared[1:], shared[:1])  # the first shares nothing
    alone[0] = len(order) == 1
    row, packer = np.empty(len(order), np.int32), BlockPacker(nodes)
    packer.add(np.ones(1, np.int32))  # the root
    everywhere, nowhere = (np.broadcast_to(columns.dtype.type(used), len(order)) for used in (1, 0))
    node, leaf, parents = 1, 0, []
    for depth, (before, column) in enumerate(pairwise([everywhere, *columns, nowhere, nowhere])):
        level = []
        for start in range(0, len(order), CHUNK):  # what fits in the cache
            piece = slice(start, start + CHUNK)
            starts = np.flatnonzero((shared[piece] <= depth) & (before[piece] != 0))
            edges = column[piece][starts]
            ended = edges == 0
            if depth:
                inner = token[parents[len(level)]] != eos_id
                packer.add(node + _first_of_each(inner, shared[piece][starts] < depth))
            level.append(slice(node, node + len(starts)))
            token[level[-1]] = np.where(ended, token.dtype.type(eos_id), edges)
            alone[level[-1]] = following[piece][starts] <= depth
            rows = order[piece][starts[ended]]
            row[leaf : leaf + len(rows)] = rows
            node, leaf = node + len(starts), leaf + len(rows)
        parents = level
    return TrieArrays(token, *packer.finish(), *pack_leaves(token == eos_id), row, pack_bits(alone))


def _first_of_each(inner: Bool[np.ndarray, "n"], begins: Bool[np.ndarray, "m"]) -> Int[np.ndarray, "n"]:
    """Returns the place of each node's first child among the nodes of the next level.

    `inner` tells which nodes have children, `begins` which nodes of the next level are the first of their siblings.
    """
    firsts = np.append(np.flatnonzero(begins), len(begins)).astype(np.int32)
    return firsts[np.cumsum(inner, dtype=np.int32) - inner]  # a leaf points to the children of the next inner node
