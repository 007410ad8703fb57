"""The trie of all docids as flat arrays, built level by level from sorted docids, and its file."""

import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Int

from gr2_jax.decoding import TrieArrays
from gr2_jax.errors import UserError

_FORMAT = "gr2_jax docid trie 1"


@dataclass(frozen=True, eq=False)
class DocidTrie:
    """A prefix trie over docids, laid out as `gr2_jax.decoding.TrieArrays` says; every docid ends with an EOS edge."""

    first_child: Int[np.ndarray, "nodes+1"]
    token: Int[np.ndarray, "nodes"]  # uint16 where the tokens fit, else int32
    row: Int[np.ndarray, "nodes"]

    @classmethod
    def from_sequences(
        cls, sequences: Sequence[Sequence[int]] | Int[np.ndarray, "N Ti"], *, eos_id: int = 1
    ) -> "DocidTrie":
        """Builds the trie of docids, given without EOS as token lists or as an integer array padded with 0.

        Row i is document i.

        Raises:
          UserError: no docids, an empty docid, a token that is not positive or is `eos_id`, or the same docid twice.
        """
        matrix, lengths = _as_matrix(sequences)
        _check_tokens(matrix, lengths, eos_id)
        matrix = matrix.astype(_token_dtype(int(matrix.max())), copy=False)
        order = np.lexsort(matrix.T[::-1])  # padding sorts first, so a docid comes before the ones it is a prefix of
        ordered, lengths = matrix[order], lengths[order]
        shared = _shared_prefix(ordered)
        if (same := np.flatnonzero(shared == matrix.shape[1])).size:
            first, second = sorted(int(r) for r in order[same[0] - 1 : same[0] + 1])
            docid = ordered[same[0], : lengths[same[0]]].tolist()
            raise UserError(f"documents {first} and {second} have the same docid {docid}")
        return cls(*_build(ordered, lengths, shared, order, eos_id))

    @property
    def arrays(self) -> TrieArrays:
        """The arrays the search takes (NumPy; put them on the device once)."""
        return TrieArrays(self.first_child, self.token, self.row)

    @cached_property
    def widths(self) -> tuple[int, int]:
        """The number of children of the root, and the largest number of children of any other node."""
        children = np.diff(self.first_child)
        return int(children[0]), int(children[1:].max())

    @cached_property
    def max_depth(self) -> int:
        """Edges on the longest path, EOS included."""
        depth, level = 0, (0, 1)
        while level[0] < level[1]:
            depth, level = depth + 1, (int(self.first_child[level[0]]), int(self.first_child[level[1]]))
        return depth - 1

    @cached_property
    def num_docids(self) -> int:
        return int(np.count_nonzero(self.row >= 0))

    @property
    def nbytes(self) -> int:
        """Bytes of the three arrays."""
        return sum(array.nbytes for array in self.arrays)

    @cached_property
    def tokens(self) -> Int[np.ndarray, "T"]:
        """The distinct tokens on the edges, EOS included, ascending: the columns a model's output needs."""
        return np.unique(self.token[1:])

    def sequences(self) -> list[list[int]]:
        """Returns the docid of each row, without EOS."""
        parent = np.zeros(len(self.token), np.int32)
        parent[1:] = np.repeat(np.arange(len(self.token), dtype=np.int32), np.diff(self.first_child))
        leaves = np.flatnonzero(self.row >= 0)
        node = parent[leaves[np.argsort(self.row[leaves])]]
        upwards = np.zeros((len(node), self.max_depth - 1), self.token.dtype)
        for column in upwards.T:
            column[:] = self.token[node]  # 0 once at the root, which is its own parent here
            node = parent[node]
        lengths = np.count_nonzero(upwards, axis=1)
        return [tokens[:n][::-1] for tokens, n in zip(upwards.tolist(), lengths.tolist(), strict=True)]

    def save(self, path: str | Path) -> None:
        """Writes the trie to `path` (.npz), beside it first, so that a file with this name is always whole."""
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            np.savez(file, format=np.array(_FORMAT), **self.arrays._asdict())
        os.replace(partial, path)

    @classmethod
    def load(cls, path: str | Path) -> "DocidTrie":
        """Reads a trie written by `save`.

        Raises:
          UserError: the file is missing, damaged, or not a docid trie.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                arrays = {name: _read_array(archive, name) for name in ("format", *TrieArrays._fields)}
        except FileNotFoundError:
            raise UserError(f"there is no docid trie at {path}") from None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f"{path} is not a docid trie, or is damaged ({error})") from error
        if arrays.pop("format") != _FORMAT or not _is_consistent(**arrays):
            raise UserError(f"{path} is not a docid trie in the format '{_FORMAT}'")
        return cls(**arrays)


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        file.read()  # to the end of the member, where its checksum is compared
        return array


def _is_consistent(first_child: np.ndarray, token: np.ndarray, row: np.ndarray) -> bool:
    nodes = len(token)
    lengths_agree = nodes > 1 and first_child.shape == (nodes + 1,) and row.shape == (nodes,)
    return (
        lengths_agree and first_child[0] == 1 and first_child[-1] == nodes and bool(np.all(np.diff(first_child) >= 0))
    )


def _token_dtype(largest: int) -> type[np.generic]:
    return np.uint16 if largest <= np.iinfo(np.uint16).max else np.int32


def _as_matrix(sequences: Sequence[Sequence[int]] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the docids as an integer array [N, Ti], padded with 0, and their lengths [N]."""
    if not len(sequences):
        raise UserError("a docid trie needs at least one docid")
    if hasattr(sequences, "__array__"):
        matrix = np.asarray(sequences)
        if matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.integer):
            raise UserError(f"docids must be an integer array [N, Ti], not {matrix.dtype} {list(matrix.shape)}")
        used = matrix != 0
        lengths = np.where(used.any(axis=1), matrix.shape[1] - used[:, ::-1].argmax(axis=1), 0)
        return matrix[:, : max(1, lengths.max())], lengths
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    matrix = np.zeros((len(sequences), max(1, lengths.max())), np.int64)
    matrix[np.arange(matrix.shape[1]) < lengths[:, None]] = np.fromiter(
        chain.from_iterable(sequences), np.int64, lengths.sum()
    )
    return matrix, lengths


def _check_tokens(matrix: np.ndarray, lengths: np.ndarray, eos_id: int) -> None:
    """Raises UserError for the first docid that is empty or holds a token it may not."""
    if (empty := np.flatnonzero(lengths == 0)).size:
        raise UserError(f"the docid of document {empty[0]} is empty")
    inside = np.arange(matrix.shape[1]) < lengths[:, None]
    wrong = inside & ((matrix <= 0) | (matrix == eos_id) | (matrix > np.iinfo(np.int32).max))
    if wrong.any():
        row, position = np.argwhere(wrong)[0]
        token = int(matrix[row, position])
        why = "is the end-of-docid token" if token == eos_id else "is not a positive 32-bit token id"
        raise UserError(f"the docid of document {row} has token {token} at position {position}, which {why}")


def _shared_prefix(ordered: np.ndarray) -> np.ndarray:
    """Returns how many leading columns each row shares with the row before it; -1 for the first row."""
    differs = ordered[1:] != ordered[:-1]
    shared = np.where(differs.any(axis=1), differs.argmax(axis=1), ordered.shape[1])
    return np.concatenate([[-1], shared])


def _build(
    ordered: np.ndarray, lengths: np.ndarray, shared: np.ndarray, order: np.ndarray, eos_id: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lays out the nodes of sorted, distinct docids level by level; a node stands where its first docid does."""
    dtype = np.promote_types(ordered.dtype, _token_dtype(eos_id))
    first_child, token, row = [], [np.zeros(1, dtype)], [np.full(1, -1, np.int32)]
    starts, nodes = np.zeros(1, np.int64), 1
    for depth in range(int(lengths.max()) + 1):
        nexts = np.flatnonzero((shared <= depth) & (lengths >= depth))
        first_child.append(nodes + np.searchsorted(nexts, starts))
        ends = lengths[nexts] == depth
        column = np.minimum(depth, ordered.shape[1] - 1)
        token.append(np.where(ends, eos_id, ordered[nexts, column]).astype(dtype))
        row.append(np.where(ends, order[nexts], -1).astype(np.int32))
        starts, nodes = nexts, nodes + len(nexts)
    first_child.append(np.full(len(starts) + 1, nodes))
    return np.concatenate(first_child).astype(np.int32), np.concatenate(token), np.concatenate(row)
