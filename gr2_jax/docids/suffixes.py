"""The last resort of the assignment: docids made of a base and the shortest suffix that gives a free docid."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count

import numpy as np
from jaxtyping import Int, UInt64

from gr2_jax.docids.candidates import SLICE
from gr2_jax.docids.taken import TakenDocids, hash_docids, hash_tokens
from gr2_jax.docids.tokens import MOST_INT32
from gr2_jax.errors import UserError

_WINDOW = 1 << 20  # most suffixes of one stem to look up together


def as_digits(tokens: Sequence[int]) -> Int[np.ndarray, "D"]:
    """The suffix tokens as an array; `UserError` unless they are one or more different whole numbers of 31 bits."""
    digits = np.asarray(tokens)
    are_tokens = digits.ndim == 1 and digits.dtype.kind in "iu" and digits.min(initial=1) > 0
    if not are_tokens or digits.max(initial=1) > MOST_INT32 or not 0 < digits.size == len(np.unique(digits)):
        wanted = f"one or more different whole numbers from 1 to {MOST_INT32}"
        raise UserError(f"suffix tokens must be {wanted}, not {tokens}")
    return digits.astype(np.int64)


def add_suffixes(
    rows: Int[np.ndarray, "L"],
    bases: Int[np.ndarray, "L T"],
    digits: Int[np.ndarray, "D"],
    max_length: int | None,
    taken: TakenDocids,
) -> Iterator[tuple[slice, Int[np.ndarray, "l t"]]]:
    """Yields, slice by slice, each document's base with the first suffix that gives a docid no earlier document has.

    Suffixes are tried in the order a, b, aa, ab, ba, bb, aaa and so on. A suffix of n tokens is appended to the base's
    stem, its first `max_length` - n tokens. Documents of the same stem want the same docids in the same order, so their
    ranks decide who gets which, and all are served at once. Two stems can give the same docid only if a base itself
    ends with digits; duplicates in the result show this, and the documents are then processed one by one.

    Args:
      rows: the documents' rows, ascending, for the error message.
      bases: their bases, 0-padded; may be empty.

    Raises:
      UserError: all suffixes of at most `max_length` tokens are taken.
    """
    work = _Work(bases, digits, max_length, taken)
    sizes, values, hashes = work.by_rank()
    hashes = np.sort(hashes[sizes > 0])
    if (hashes[1:] == hashes[:-1]).any():
        sizes, values = work.one_by_one()
    if (sizes == 0).any():
        raise UserError(
            f"document {rows[np.argmin(sizes)]} gets no docid:"
            f" all suffixes of at most {max_length} tokens (max_length) are taken"
        )
    for start in range(0, rows.size, SLICE):
        at = slice(start, start + SLICE)
        yield at, work.spell(at, sizes[at], values[at])


@dataclass(frozen=True, eq=False)
class _Work:
    """A suffix is its size, in tokens, and its value, the number its digits spell in base len(digits)."""

    bases: Int[np.ndarray, "L T"]
    digits: Int[np.ndarray, "D"]
    max_length: int | None
    taken: TakenDocids

    def sizes(self) -> Iterator[int]:
        return iter(range(1, self.max_length + 1)) if self.max_length is not None else count(1)

    def stems(self, rows: Int[np.ndarray, "l"] | slice, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Hashes and lengths [l] of the stems: the part of each base that stays before a suffix of this size."""
        stems = self.bases[rows, : None if self.max_length is None else self.max_length - size]
        return hash_docids(stems), np.count_nonzero(stems, axis=1)

    def hashes(self, stem: np.ndarray, length: np.ndarray, size: int, values: np.ndarray) -> UInt64[np.ndarray, "n"]:
        """Hashes [n] of stems (by hash and length) with suffixes."""
        total = np.broadcast_to(stem, values.shape).copy()
        for place in range(size):
            total += hash_tokens(self._digit(size, values, place), length + place)
        return total

    def _digit(self, size: int | np.ndarray, values: np.ndarray, place: int) -> Int[np.ndarray, "n"]:
        return self.digits[values // len(self.digits) ** (size - 1 - place) % len(self.digits)]

    def spell(self, at: slice, sizes: Int[np.ndarray, "l"], values: Int[np.ndarray, "l"]) -> Int[np.ndarray, "l t"]:
        """The bases at `at` with their suffixes."""
        base = self.bases[at]
        room = np.inf if self.max_length is None else self.max_length - sizes
        length = np.minimum(np.count_nonzero(base, axis=1), room).astype(int)
        docids = np.zeros((len(base), base.shape[1] + sizes.max()), np.int64)
        docids[:, : base.shape[1]] = np.where(np.arange(base.shape[1]) < length[:, None], base, 0)
        for place in range(sizes.max()):
            rows = np.flatnonzero(sizes > place)
            docids[rows, length[rows] + place] = self._digit(sizes[rows], values[rows], place)
        return docids

    def by_rank(self) -> tuple[Int[np.ndarray, "L"], Int[np.ndarray, "L"], UInt64[np.ndarray, "L"]]:
        """Sizes (0: none was free), values and hashes, as if different stems never led to the same docid."""
        documents = len(self.bases)
        sizes, values, hashes = (np.zeros(documents, dtype) for dtype in (np.int32, np.int64, np.uint64))
        left, tried = np.arange(documents), self.sizes()
        while left.size and (size := next(tried, 0)):
            values[left], hashes[left] = self._serve(left, size)
            sizes[left] = np.where(values[left] >= 0, size, 0)
            left = left[values[left] < 0]
        return sizes, values, hashes

    def _serve(self, rows: Int[np.ndarray, "l"], size: int) -> tuple[Int[np.ndarray, "l"], UInt64[np.ndarray, "l"]]:
        """Values and hashes of the suffixes of this size that the rows get; -1 where their stem has no more."""
        stem, length = self.stems(rows, size)
        _, member, group, needed = np.unique(stem, return_index=True, return_inverse=True, return_counts=True)
        stem, length = stem[member], length[member]
        queue = np.argsort(group, kind="stable")  # stem by stem, each one's documents in order
        head = np.cumsum(needed) - needed  # where each stem's first unserved document is in the queue
        next_value, end = np.zeros_like(needed), len(self.digits) ** size
        values, hashes = np.full(rows.size, -1), np.zeros(rows.size, np.uint64)
        live, window = np.arange(needed.size), 1
        while live.size:
            width = np.minimum(np.clip(needed[live], window, _WINDOW), end - next_value[live])
            at = np.repeat(np.arange(live.size), width)
            tried = next_value[live][at] + _ranks(width)
            found = self.hashes(stem[live][at], length[live][at], size, tried)
            free = ~self.taken.contains(found)
            at, tried, found = at[free], tried[free], found[free]
            supply = np.bincount(at, minlength=live.size)
            rank = _ranks(supply)
            used = rank < needed[live][at]
            served = queue[(head[live][at] + rank)[used]]
            values[served], hashes[served] = tried[used], found[used]
            supply = np.minimum(supply, needed[live])
            needed[live] -= supply
            head[live] += supply
            next_value[live] += width
            live = live[(needed[live] > 0) & (next_value[live] < end)]
            window = min(2 * window, _WINDOW)  # where long runs are taken, search further each time
        return values, hashes

    def one_by_one(self) -> tuple[Int[np.ndarray, "L"], Int[np.ndarray, "L"]]:
        """Sizes and values by the definition: documents in order, each trying suffixes in order; 0: none was free."""
        sizes, values = np.zeros(len(self.bases), np.int32), np.zeros(len(self.bases), np.int64)
        stems = cache(lambda size: [part.tolist() for part in self.stems(slice(None), size)])
        suffixes = cache(lambda stem, length, size: self._free(stem, length, size))  # shared: a skipped suffix is taken
        given: set[int] = set()
        for row in range(len(self.bases)):
            for size in self.sizes():
                hashes, lengths = stems(size)
                suffix = next((s for s in suffixes(hashes[row], lengths[row], size) if s[1] not in given), None)
                if suffix:
                    break
            else:
                break
            sizes[row], values[row] = size, suffix[0]
            given.add(suffix[1])
        return sizes, values

    def _free(self, stem: int, length: int, size: int) -> Iterator[tuple[int, int]]:
        """Values and hashes of all suffixes that were not taken before."""
        start, width, end = 0, 16, len(self.digits) ** size
        while start < end:
            values = np.arange(start, min(start + width, end))
            hashes = self.hashes(np.uint64(stem), np.array(length), size, values)
            free = ~self.taken.contains(hashes)
            yield from zip(values[free].tolist(), hashes[free].tolist(), strict=True)
            start, width = start + width, min(2 * width, _WINDOW)


def _ranks(counts: Int[np.ndarray, "n"]) -> Int[np.ndarray, "m"]:
    """0, 1, ..., counts[0] - 1, 0, 1, ..., counts[1] - 1 and so on."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
