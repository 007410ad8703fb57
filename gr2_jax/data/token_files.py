"""Tokenised texts in a folder, mapped into memory: as many as the disk holds, and read only where they are asked for.

`<name>.tokens.npy` holds the tokens of all texts one after the other, `<name>.starts.npy` where each text begins, and
`<name>.rows.npy` the document of each.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Int

from gr2_jax.array_files import GrowingArray, growing_array, map_array
from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.errors import UserError

_AT_ONCE = 8192
FILES = ("tokens", "starts", "rows")


class TokenRows:
    """[N, width] int32, 0-padded; `rows[index]` builds the rows asked for: one, a slice, or an array of row numbers."""

    def __init__(self, values: Int[np.ndarray, "S"], starts: Int[np.ndarray, "N+1"], width: int):
        self._values, self._starts, self.shape = values, starts, (len(starts) - 1, width)

    dtype = np.dtype(np.int32)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of the rows' tokens and of where they begin, as they are on the disk."""
        tokens = int(self._starts[-1] - self._starts[0]) * self._values.dtype.itemsize
        return tokens + len(self._starts) * self._starts.dtype.itemsize

    def head(self, count: int) -> "TokenRows":
        """The first rows."""
        return TokenRows(self._values, self._starts[: count + 1], self.shape[1])

    def __iter__(self) -> Iterator[Int[np.ndarray, "width"]]:
        return (row for start in range(0, len(self), _AT_ONCE) for row in self[start : start + _AT_ONCE])

    def __getitem__(self, index: int | slice | Int[np.ndarray, "n"]) -> Int[np.ndarray, "n width"]:
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        rows = np.asarray(index)
        if rows.size and rows.dtype.kind not in "iu":
            raise TypeError(f"texts are chosen by row numbers, not by {rows.dtype}")
        rows = rows.astype(np.int64)
        if rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} leave the {len(self)} texts")
        many = np.atleast_1d(np.where(rows < 0, rows + len(self), rows))
        starts = np.asarray(self._starts[many])
        lengths = np.minimum(self._starts[many + 1] - starts, self.shape[1])
        ends = np.cumsum(lengths)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
        padded = np.zeros((len(many), self.shape[1]), np.int32)
        padded[np.arange(self.shape[1]) < lengths[:, None]] = self._values[places]
        return padded if rows.ndim else padded[0]


class TokenWriter:
    """Adds texts, each of one document, to the files of a name."""

    def __init__(self, tokens: GrowingArray, starts: GrowingArray, rows: GrowingArray):
        self._tokens, self._starts, self._rows, self._written = tokens, starts, rows, 0
        starts.append(np.zeros(1, np.int64))

    def add(self, texts: Sequence[Sequence[int]], rows: Sequence[int]) -> None:
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        if lengths.any():
            self._tokens.append(np.concatenate([np.asarray(text, np.int64) for text in texts]))
        self._starts.append(self._written + np.cumsum(lengths))
        self._rows.append(np.asarray(rows))
        self._written += int(lengths.sum())

    def add_files(self, directory: Path, name: str) -> None:
        """Adds the texts that another writer left in a folder under a name."""
        tokens, starts, rows = (map_array(directory / f"{name}.{part}.npy", ndim=1) for part in FILES)
        self._tokens.append(tokens)
        self._starts.append(self._written + starts[1:])
        self._rows.append(rows)
        self._written += len(tokens)


@contextmanager
def token_writer(directory: Path, name: str, *, ids: int) -> Iterator[TokenWriter]:
    """Writes the files of a name, of tokens below `ids`; they are whole when the block has ended."""
    kinds = (np.uint16 if ids <= 1 << 16 else np.int32, np.int64, np.int32)
    with (
        growing_array(directory / f"{name}.tokens.npy", kinds[0]) as tokens,
        growing_array(directory / f"{name}.starts.npy", kinds[1]) as starts,
        growing_array(directory / f"{name}.rows.npy", kinds[2]) as rows,
    ):
        yield TokenWriter(tokens, starts, rows)


def map_token_rows(directory: Path, name: str, *, width: int) -> TokenRows:
    """The tokens alone of files that `read_token_files` has checked, for a process that reads few of them."""
    return TokenRows(*(map_array(directory / f"{name}.{part}.npy", ndim=1) for part in FILES[:2]), width)


def read_token_files(directory: Path, name: str, *, width: int, ids: int, grade: int) -> ExampleArrays:
    """The texts as examples of one document each, whose tokens are `TokenRows`; all have this grade.

    Raises:
        UserError: A file is missing or damaged, or holds other tokens than those below `ids`.
    """
    tokens, starts, rows = (map_array(directory / f"{name}.{part}.npy", ndim=1) for part in FILES)
    whole = len(starts) == len(rows) + 1 and starts[0] == 0 and starts[-1] == len(tokens)
    whole = whole and all(array.dtype.kind in "iu" for array in (tokens, starts, rows)) and rows.min(initial=0) >= 0
    if not whole or (np.diff(starts) < 0).any() or tokens.max(initial=0) >= ids or tokens.min(initial=0) < 0:
        raise UserError(f"{directory / f'{name}.starts.npy'} is damaged, or a file beside it: they are not of {name}")
    grades = np.broadcast_to(np.int32(grade), (len(rows), 1))
    return ExampleArrays(TokenRows(tokens, starts, width), rows[:, None], grades)
