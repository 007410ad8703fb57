"""Which docids are taken, in 8 bytes each: a set of 64-bit hashes for tens of millions of them."""

import numpy as np
from jaxtyping import Bool, Int, UInt64

_GROWTH = 4  # each sorted array of the set is at least so many times as long as the next


def hash_docids(docids: Int[np.ndarray, "*B T"]) -> UInt64[np.ndarray, "*B"]:
    """Returns sum_t f(w_t, t) mod 2^64, with f of `hash_tokens`.

    Padding adds nothing, so the hash is the same however wide the array; the empty docid has hash 0. Equal docids have
    equal hashes; that any two of n different ones share a hash has a probability of n^2 / 2^65: 1e-4 for 50 million.
    """
    total = np.zeros(docids.shape[:-1], np.uint64)
    for t in range(docids.shape[-1]):
        total += hash_tokens(docids[..., t], t)
    return total


def hash_tokens(tokens: Int[np.ndarray, "*B"], places: Int[np.ndarray, "*B"] | int) -> UInt64[np.ndarray, "*B"]:
    """What a token w at place t (from 0) adds to the hash of its docid: f(w, t) = g(w * (g((t + 1) * phi) | 1)).

    g, x ^= x >> 32, x *= c, x ^= x >> 29, is one-to-one and keeps 0; phi and c are odd 64-bit constants (the golden
    ratio's fraction, and a multiplier of splitmix64). So f is one-to-one in w, and 0 for padding.
    """
    steps = (np.atleast_1d(places) + 1).astype(np.uint64)  # no scalars: NumPy warns when their products wrap
    factors = _mixed(steps * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
    return _mixed(tokens.astype(np.uint64) * factors)


def _mixed(x: UInt64[np.ndarray, "*B"]) -> UInt64[np.ndarray, "*B"]:
    x = x ^ (x >> np.uint64(32))
    x *= np.uint64(0xBF58476D1CE4E5B9)
    return x ^ (x >> np.uint64(29))


class TakenDocids:
    """A set of hashes of docids; that of the empty docid is in it from the start, because no document may have it.

    A few sorted arrays of falling length: what is added becomes the shortest, and is merged with the one before while
    that is less than `_GROWTH` times as long. So there are O(log n) arrays, and a hash is moved O(log n) times.
    """

    def __init__(self) -> None:
        self._levels = [np.zeros(1, np.uint64)]

    def add(self, hashes: UInt64[np.ndarray, "n"]) -> None:
        """Adds hashes that are all different and not in the set."""
        if not hashes.size:
            return
        self._levels.append(np.sort(hashes))
        while len(self._levels) > 1 and self._levels[-2].size < _GROWTH * self._levels[-1].size:
            merged = np.concatenate([self._levels.pop(-2), self._levels.pop()])
            merged.sort(kind="stable")  # merges the two sorted runs
            self._levels.append(merged)

    def contains(self, hashes: UInt64[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
        """Which of the hashes are in the set."""
        order = np.argsort(hashes)  # ascending, so that searches one after the other touch the same memory
        asked = hashes[order]
        found = np.zeros(hashes.size, bool)
        for level in self._levels:
            places = np.searchsorted(level, asked)
            np.minimum(places, level.size - 1, out=places)
            found |= level[places] == asked
        result = np.empty_like(found)
        result[order] = found
        return result
