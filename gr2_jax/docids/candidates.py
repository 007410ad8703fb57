"""Candidate lists as arrays: packs token lists into them, checks shards and cuts them into slices."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Int

from gr2_jax.docids.tokens import MOST_INT32, flat_tokens
from gr2_jax.errors import UserError

SLICE = 65536  # documents processed together, which bounds the memory


def pack_candidates(lists: Sequence[Sequence[Sequence[int]]]) -> Int[np.ndarray, "S C T"]:
    """Packs each document's docids, token lists of any number and length, into one array padded with 0.

    Raises:
      UserError: a token is not a whole number from 1 to 2^31 - 1.
    """
    docids = list(chain.from_iterable(lists))
    counts = np.fromiter(map(len, lists), np.int64, len(lists))
    tokens, lengths = flat_tokens(docids, _wrong_token)
    packed = np.zeros((len(docids), lengths.max(initial=0)), np.int64)
    packed[np.arange(packed.shape[1]) < lengths[:, None]] = tokens
    result = np.zeros((len(lists), counts.max(initial=0), packed.shape[1]), np.int64)
    result[np.arange(result.shape[1]) < counts[:, None]] = packed
    return result


def _wrong_token(_place: int, position: int, token: Any) -> UserError:
    where = f"a candidate docid has the token {token} at position {position}"
    return UserError(f"{where}: tokens are whole numbers from 1 to {MOST_INT32}")


def slices(shards: Iterable[Int[np.ndarray, "S C T"]], max_length: int | None) -> Iterator[Int[np.ndarray, "s C t"]]:
    """Yields the lists of all shards, at most `SLICE` documents at a time, each docid cut to `max_length`; C >= 1.

    Raises:
      UserError: see `check_lists`.
    """
    for shard in shards:
        _check_array(shard)
        for start in range(0, len(shard), SLICE):
            lists = np.asarray(shard[start : start + SLICE])
            _check_tokens(lists)
            yield lists[..., :max_length] if lists.shape[1] else np.zeros((len(lists), 1, 1), np.int32)


def check_lists(lists: Int[np.ndarray, "S C T"]) -> None:
    """Raises `UserError` unless `lists` is an integer array of rank 3 with no token out of range or after a 0."""
    _check_array(lists)
    _check_tokens(lists)


def _check_array(lists: Int[np.ndarray, "S C T"]) -> None:
    dtype, shape = getattr(lists, "dtype", np.dtype(object)), getattr(lists, "shape", ())
    if dtype.kind not in "iu" or len(shape) != 3:
        raise UserError(
            "candidates must be an integer array [documents, candidates, tokens],"
            f" not a {type(lists).__name__} of {dtype} {list(shape)}"
        )


def _check_tokens(lists: Int[np.ndarray, "S C T"]) -> None:
    for extreme in (lists.min(initial=0), lists.max(initial=0)):
        if not 0 <= extreme <= MOST_INT32:
            raise UserError(
                f"a candidate docid has the token {extreme}: tokens run from 1 to {MOST_INT32}, 0 is padding"
            )
    holes = ((lists[..., :-1] == 0) & (lists[..., 1:] != 0)).any(axis=-1)
    if holes.any():
        raise UserError(f"the candidate docid {lists[holes][0].tolist()} has a token after its padding (0)")


def narrow(docids: Int[np.ndarray, "n T"]) -> Int[np.ndarray, "n t"]:
    """A copy trimmed to the longest docid, in uint16 where the tokens fit, else int32."""
    width = np.count_nonzero(docids.any(axis=0))  # padding is at the end, so no column before is empty
    fits = docids.max(initial=0) <= np.iinfo(np.uint16).max
    return docids[:, :width].astype(np.uint16 if fits else np.int32)


def narrow_lists(lists: Int[np.ndarray, "S C T"]) -> Int[np.ndarray, "S C t"]:
    """The same of candidate lists."""
    rows, places, tokens = lists.shape
    return narrow(lists.reshape(rows * places, tokens)).reshape(rows, places, -1 if lists.size else 0)


def stack(parts: Sequence[Int[np.ndarray, "_n _t"]]) -> Int[np.ndarray, "n t"]:
    """Concatenates narrow arrays by rows, in the widest shape and type among them."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, [(0, 0), (0, width - part.shape[1])]) for part in parts])
