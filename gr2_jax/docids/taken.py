"""The set of taken docids, 8 bytes each, and the choice of free docids, document by document."""

import numpy as np
from jaxtyping import Bool, Int, Int32, UInt64

_GROWTH = 4  # each sorted array of the set is at least this many times as long as the next


def hash_docids(docids: Int[np.ndarray, "*B T"]) -> UInt64[np.ndarray, "*B"]:
    """Returns sum_t f(w_t, t) mod 2^64, with f of `hash_tokens`.

    Padding adds nothing, so the hash does not depend on the array's width; the empty docid has hash 0. Equal docids
    have equal hashes; any two of n different docids share a hash with probability n^2 / 2^65: 1e-4 for 50 million.
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
    """A set of docid hashes; it starts with the hash of the empty docid, which no document may have.

    It is a few sorted arrays of decreasing length. New hashes become the shortest array, which is merged with the array
    before it while that is less than `_GROWTH` times as long: there are O(log n) arrays, and a hash is moved O(log n)
    times.
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
        order = np.argsort(hashes)  # ascending, so that successive searches touch the same memory
        asked = hashes[order]
        found = np.zeros(hashes.size, bool)
        for level in self._levels:
            places = np.searchsorted(level, asked)
            np.minimum(places, level.size - 1, out=places)
            found |= level[places] == asked
        result = np.empty_like(found)
        result[order] = found
        return result


def first_free(hashes: UInt64[np.ndarray, "S C"], taken: TakenDocids) -> Int32[np.ndarray, "S"]:
    """Returns for each document, in order, the index of its first free docid, or -1; adds these docids to `taken`.

    Computed in rounds. Every document without a docid asks for the next docid of its list. Of the documents that ask
    for a docid and its holder, the first keeps it and the others go on. All docids prefer documents in the same order,
    so the only stable outcome is the one of documents choosing in turn.
    """
    documents, places = hashes.shape
    docids, wish = np.unique(hashes, return_inverse=True)
    unknown, free = documents + 1, documents  # values of `holder` that are no document; -1: taken before
    holder = np.full(docids.size, unknown)
    choice = np.full(documents, -1)
    asking = np.arange(documents)
    while asking.size:
        choice[asking] += 1
        asking = asking[choice[asking] < places]
        asked = wish[asking, choice[asking]]
        if (new := np.unique(asked[holder[asked] == unknown])).size:
            holder[new] = np.where(taken.contains(docids[new]), -1, free)
        before = holder[asked]
        np.minimum.at(holder, asked, asking)
        holds = holder[asked] == asking
        pushed_out = before[holds]
        asking = np.concatenate([asking[~holds], pushed_out[pushed_out < free]])
    choice[choice == places] = -1
    got = np.flatnonzero(choice >= 0)
    taken.add(hashes[got, choice[got]])
    return choice.astype(np.int32)
