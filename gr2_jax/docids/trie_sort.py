"""Docids as an integer array: checked, and sorted as one sorts words."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Int

from gr2_jax.docids.tokens import MOST_INT32, flat_tokens
from gr2_jax.errors import UserError

CHUNK = 1 << 16  # docids worked on at once: what fits in the cache


def token_dtype(largest: int) -> type[np.generic]:
    """The integer type of the tokens of a trie whose largest token is given."""
    return np.uint16 if largest <= np.iinfo(np.uint16).max else np.int32


def as_matrix(sequences: Sequence[Sequence[int]] | Int[np.ndarray, "N Ti"]) -> Int[np.ndarray, "N Ti"]:
    """Returns docids as an integer array, padded with 0.

    Raises UserError for none, too many, another array, or a list with a token that is no whole number of 1 .. 2^31 - 1.
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
    """Returns the largest token. Raises UserError for the first docid that is empty or holds a token it may not."""
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
    """Raises UserError for the first docid of a chunk that has one to refuse."""
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
    """Sorts docids as words, a docid before those it is a prefix of (padding sorts first).

    The first token splits them into chunks small enough for the cache, where possible, and each is sorted by itself.

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
