"""Token lists as one flat array, each token checked."""

from collections.abc import Callable, Sequence
from itertools import chain
from operator import index
from typing import Any

import numpy as np
from jaxtyping import Int64

from gr2_jax.errors import UserError

MOST_INT32 = int(np.iinfo(np.int32).max)
"""The largest token."""


def flat_tokens(
    docids: Sequence[Sequence[int]], refusal: Callable[[int, int, Any], UserError]
) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "D"]]:
    """Returns the tokens of all docids, one after the other, and the length of each docid.

    Raises:
      UserError: a token is not a whole number from 1 to 2^31 - 1; `refusal` gets the index of its docid, its position
        in the docid and the token, and returns the exception.
    """
    lengths = np.fromiter(map(len, docids), np.int64, len(docids))
    try:  # NumPy would silently truncate 2.5 to 2
        tokens = np.fromiter(map(index, chain.from_iterable(docids)), np.int64, lengths.sum())
    except (TypeError, OverflowError):
        tokens = None
    if tokens is None or tokens.min(initial=1) < 1 or tokens.max(initial=1) > MOST_INT32:
        raise next(
            refusal(place, position, token)
            for place, docid in enumerate(docids)
            for position, token in enumerate(docid)
            if not _is_token(token)
        )
    return tokens, lengths


def _is_token(value: Any) -> bool:
    try:
        return 0 < index(value) <= MOST_INT32
    except TypeError:
        return False
