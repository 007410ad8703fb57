"""Documents choosing docids in turn, computed for all of a slice at once."""

import numpy as np
from jaxtyping import Int32, UInt64

from gr2_jax.docids.taken import TakenDocids


def first_free(hashes: UInt64[np.ndarray, "S C"], taken: TakenDocids) -> Int32[np.ndarray, "S"]:
    """Returns for each document, in order, the place of the first of its docids that is free, or -1; takes them.

    Computed in rounds. Every document without a docid asks for the next of its list; of those that ask for one, and
    the one that holds it, the first document holds it, and the others go on. All docids prefer documents in the same
    order, so the only stable outcome is that of the documents choosing in turn.
    """
    documents, places = hashes.shape
    docids, wish = np.unique(hashes, return_inverse=True)
    unknown, free = documents + 1, documents  # a docid's holder, where that is no document; -1: taken before
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
