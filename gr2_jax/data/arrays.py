"""Tokenised examples as arrays, and how to take any subset of them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class ExampleArrays(NamedTuple):
    """A task, or the rows taken from one: tokens [E, T] (0-padded; `TokenRows` of a task that stays on the disk),
    docid_rows [E, J] (-1-padded), grades [E, J] (0-padded); docid_tokens [E, J, Ti] (0-padded) if the docids are text
    rather than rows of a table."""

    tokens: Int[np.ndarray, "E T"]
    docid_rows: Int[np.ndarray, "E J"]
    grades: Int[np.ndarray, "E J"]
    docid_tokens: Int[np.ndarray, "E J Ti"] | None = None

    @property
    def size(self) -> int:
        """Examples, E; `len` is the number of fields."""
        return len(self.tokens)

    def take(self, indices: Int[np.ndarray, " n"]) -> "ExampleArrays":
        """The examples at `indices`, in this order, repeated where an index is; `IndexError` past the end."""
        return ExampleArrays(*(None if field is None else field[indices] for field in self))
