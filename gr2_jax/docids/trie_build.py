"""Builds the trie's arrays from docids: checks and sorts them, and lays out the nodes level by level."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from gr2_jax.decoding.trie_arrays import TrieArrays
from gr2_jax.docids.tokens import MOST_INT32, flat_tokens
from gr2_jax.docids.trie_blocks import BlockPacker, pack_bits, pack_leaves
from gr2_jax.errors import UserError

CHUNK = 1 << 16  # docids processed at once, which fit in the cache


def token_dtype(largest: int) -> type[np.generic]:
    """The integer type of the tokens of a trie whose largest token is given."""
    return np.uint16 if largest <= np.iinfo(np.uint16).max else np.int32


def as_matrix(sequences: Sequence[Sequence[int]] | Int[np.ndarray, "N Ti"]) -> Int[np.ndarray, "N Ti"]:
    """Returns docids as an integer array, padded with 0.

    Raises UserError for no docids, too many, an array of another kind, or a list with a token that is not a whole
    number from 1 to 2^31 - 1.
    """
    if not len(sequences):
        raise UserError("a docid trie needs at least one docid")
    if len(sequences) > MOST_INT32:
        raise UserError(f"a docid trie holds at most {MOST_INT32:,} docids, not {len(sequences):,}")
    if hasattr(sequences, "__array__"):
        matrix = np.asarray(sequences)
        if matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.integer):
            raise UserError(f"docids must be an integer array [N, Ti], not {matrix.dtype} {list(matrix.shape)}")
        return matrix
    flat, lengths = flat_tokens(sequences, _no_token)  # in lists, a 0 is never padding
    matrix = np.zeros((len(sequences), max(1, lengths.max())), np.int64)
    matrix[np.arange(matrix.shape[1]) < lengths[:, None]] = flat
    return matrix


def check_tokens(matrix: Int[np.ndarray, "N Ti"], eos_id: int) -> int:
    """Returns the largest token. Raises UserError for the first docid that is empty or holds an invalid token."""
    largest = 0
    for start in range(0, len(matrix), CHUNK):
        chunk = matrix[start : start + CHUNK]
        used = chunk != 0
        largest = max(largest, int(chunk.max(initial=0)))
        hole = used[:, 1:] & ~used[:, :-1]
        if chunk.min(initial=0) < 0 or largest > MOST_INT32 or not used[:, :1].all() or hole.any() or not used.size:
            _refuse_first(chunk, start, eos_id)
        if (chunk == eos_id).any():
            _refuse_first(chunk, start, eos_id)
    return largest


def _refuse_first(chunk: np.ndarray, start: int, eos_id: int) -> None:
    """Raises UserError for the first invalid docid of a chunk."""
    for row, docid in enumerate(chunk.tolist(), start):
        while docid and docid[-1] == 0:
            docid.pop()
        if not docid:
            raise UserError(f"the docid of document {row} is empty")
        for position, token in enumerate(docid):
            if token == eos_id:
                raise _wrong_token(row, position, token, "is the end-of-docid token")
            if not 0 < token <= MOST_INT32:
                raise _no_token(row, position, token)


def _no_token(row: int, position: int, token: Any) -> UserError:
    return _wrong_token(row, position, token, "is not a positive 32-bit token id")


def _wrong_token(row: int, position: int, token: Any, why: str) -> UserError:
    return UserError(f"the docid of document {row} has token {token} at position {position}, which {why}")


def sort_docids(matrix: Int[np.ndarray, "N Ti"], largest: int) -> tuple[Int[np.ndarray, "N"], Int[np.ndarray, "Ti N"]]:
    """Sorts docids lexicographically, a docid before those it is a prefix of (padding sorts first).

    The first token splits them into chunks small enough for the cache, where possible; chunks are sorted separately.

    Returns:
      order: the row of each docid in sorted order.
      columns: the sorted docids, a contiguous row per position.
    """
    dtype = token_dtype(largest)
    first = matrix[:, 0].astype(dtype)
    by_first = np.argsort(first, kind="stable").astype(np.int32)  # a radix sort for 16 bits
    order = np.empty(len(matrix), np.int32)
    columns = np.empty(matrix.shape[::-1], dtype)
    for start, stop in pairwise(_chunk_bounds(first.take(by_first))):
        rows = by_first[start:stop]
        chunk = np.ascontiguousarray(matrix.take(rows, axis=0).T, dtype)
        local = _lexical_order(chunk, largest.bit_length())
        order[start:stop] = rows[local]
        columns[:, start:stop] = chunk.take(local, axis=1)
    return order, columns


def _chunk_bounds(first: np.ndarray) -> list[int]:
    """Returns the bounds of chunks of sorted first tokens: at least CHUNK rows each, no token in two of them."""
    changes = np.append(np.flatnonzero(first[1:] != first[:-1]) + 1, len(first))
    wanted = np.arange(CHUNK, len(first) + CHUNK, CHUNK).clip(max=len(first))
    return [0, *np.unique(changes[np.searchsorted(changes, wanted)]).tolist()]


def _lexical_order(columns: np.ndarray, bits: int) -> np.ndarray:
    """Returns the order that sorts docids [Ti, n] whose first tokens ascend and whose tokens have at most `bits` bits.

    Sorts each run of equal first tokens by as many of the next tokens as 64 bits hold beside the run's number, then
    each run of equal keys by the tokens that follow, and so on.
    """
    order = np.arange(columns.shape[1])
    places, depth = order.copy(), 1
    run = np.append(np.uint64(0), np.cumsum(columns[0, 1:] != columns[0, :-1], dtype=np.uint64))
    while len(places) and depth < len(columns):
        rows, key = order[places], run
        after = depth + (64 - int(run[-1]).bit_length()) // bits
        for column in columns[depth:after]:
            key = key << np.uint64(bits) | column[rows].astype(np.uint64)
        by_key = np.argsort(key)
        order[places], key = rows[by_key], key[by_key]
        begins = np.concatenate([[True], key[1:] != key[:-1], [True]])
        tied = ~(begins[:-1] & begins[1:])
        places, run, depth = places[tied], np.cumsum(begins[:-1][tied], dtype=np.uint64), after
    return order


def shared_prefix(columns: Int[np.ndarray, "Ti N"]) -> Int[np.ndarray, "N"]:
    """Returns how many leading tokens, padding included, each sorted docid shares with the one before; 0 for the first.

    A value of Ti means that the two are the same.
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
    """Lays out the nodes of sorted, distinct docids level by level, each level in the order of the nodes' first docids.

    Docid i adds nodes from position shared[i], where it first differs from the docid before, to its end; the end's edge
    takes the place of the docid's first padding 0.

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
        for start in range(0, len(order), CHUNK):  # chunks that fit in the cache
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
