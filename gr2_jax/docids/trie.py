"""The trie of all docids: building, measuring, saving and loading it, and reading the docids back."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Bool, Int

from gr2_jax.decoding import TrieArrays
from gr2_jax.docids.tokens import MOST_INT32
from gr2_jax.docids.trie_blocks import pack_bits, unpack
from gr2_jax.docids.trie_build import as_matrix, build_arrays, check_tokens, shared_prefix, sort_docids
from gr2_jax.docids.trie_file import read_trie, write_trie
from gr2_jax.errors import UserError

_CHUNK = 1 << 18  # nodes processed at once


@dataclass(frozen=True, eq=False)
class DocidTrie:
    """A prefix trie over docids, laid out as in `TrieArrays`; every docid ends with an edge of the token `eos_id`.

    `arrays` are NumPy arrays, `on_device` their copies on the device. `vocabulary` is the fingerprint of the tokens'
    vocabulary, if one was given.
    """

    arrays: TrieArrays
    eos_id: int = 1
    vocabulary: str | None = None

    @classmethod
    def from_sequences(
        cls,
        sequences: Sequence[Sequence[int]] | Int[np.ndarray, "N Ti"],
        *,
        eos_id: int = 1,
        vocabulary: str | None = None,
    ) -> "DocidTrie":
        """Builds the trie of docids, given without EOS as token lists or as an integer array padded with 0.

        Row i is document i.

        Raises:
          UserError: no docids, an empty docid, a token that is not a whole number from 1 to 2^31 - 1 or is `eos_id`,
            the same docid twice, more docids or nodes than 31 bits can number.
        """
        if not 0 < eos_id <= MOST_INT32:
            raise UserError(f"the end-of-docid token must be a positive 32-bit token id, not {eos_id}")
        matrix = as_matrix(sequences)
        order, columns = sort_docids(matrix, check_tokens(matrix, eos_id))
        shared = shared_prefix(columns)
        if (same := np.flatnonzero(shared == len(columns))).size:
            first, second = sorted(int(row) for row in order[same[0] - 1 : same[0] + 1])
            docid = columns[:, same[0]]
            raise UserError(f"documents {first} and {second} have the same docid {docid[docid != 0].tolist()}")
        return cls(build_arrays(columns, shared, order, eos_id), eos_id, vocabulary)

    @cached_property
    def on_device(self) -> TrieArrays:
        """The arrays on JAX's default device, copied there once: the input of a search."""
        with jax.ensure_compile_time_eval():  # a first access inside a jit would otherwise cache its tracers
            return jax.device_put(self.arrays)

    def widths(self, beams: int) -> tuple[int, int]:
        """The number of children of the root, and the most that `beams` other nodes of one level have together."""
        root, most = int(unpack(self.arrays, 1, 2)[0]) - 1, 0
        for start, stop in pairwise(self._levels[1:]):
            largest = np.zeros(0, np.int32)
            for at in range(start, stop, _CHUNK):
                counts = np.diff(unpack(self.arrays, at, min(at + _CHUNK, stop) + 1))
                largest = np.sort(np.concatenate([largest, counts]))[-beams:]
            most = max(most, int(largest.sum()))
        return root, most

    @property
    def max_depth(self) -> int:
        """Edges on the longest path, EOS included."""
        return len(self._levels) - 2

    @property
    def num_docids(self) -> int:
        return len(self.arrays.row)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays if array is not None)

    @cached_property
    def tokens(self) -> Int[np.ndarray, "T"]:
        """The distinct tokens on the edges, EOS included, ascending: the columns a model's output needs."""
        edges = self.arrays.token[1:]
        return np.unique(np.concatenate([np.unique(edges[at : at + _CHUNK]) for at in range(0, len(edges), _CHUNK)]))

    def columns(self, vocab_size: int) -> Int[np.ndarray, "V"]:
        """Token -> its place among `tokens`, which is the column of a model's output; 0 for tokens of no docid."""
        columns = np.zeros(vocab_size, np.int32)
        columns[self.tokens] = np.arange(len(self.tokens))
        return columns

    def only(self, rows: Bool[np.ndarray, "N"]) -> "DocidTrie":
        """The same docids, of which a search finds those of these rows alone."""
        allowed = np.zeros(len(self.arrays.token), bool)
        allowed[self._leaves()] = rows[self.arrays.row]
        for depth in reversed(range(self.max_depth)):
            below = slice(*self._levels[depth + 1 : depth + 3])
            allowed[self._parents(depth)[allowed[below]]] = True
        return DocidTrie(self.arrays._replace(allowed_bits=pack_bits(allowed)), self.eos_id, self.vocabulary)

    def docids(self) -> Int[np.ndarray, "N Ti"]:
        """Returns the docid of each row, without EOS, padded with 0; Ti is the length of the longest. uint16 where the
        tokens fit, else int32."""
        token, row = self.arrays.token, self.arrays.row
        docids = np.zeros((len(row), self.max_depth - 1), token.dtype)
        node = self._leaves()  # for each docid, in the order of the leaves, its node at depth + 1
        ends = np.searchsorted(node, self._levels)  # the number of docids that end above each level
        for depth in range(self.max_depth - 1, 0, -1):
            longer = ends[depth + 1]
            node[longer:] = self._parents(depth)[node[longer:] - self._levels[depth + 1]]
            docids[row[longer:], depth - 1] = token[node[longer:]]
        return docids

    def docids_with_ends(self, rows: Int[np.ndarray, "N"] | slice = slice(None)) -> Int[np.ndarray, "N Ti+1"]:
        """Returns the docid of each of the rows, by default of all, with EOS, in the type of `docids`."""
        docids = np.pad(self.docids()[rows], [(0, 0), (0, 1)])
        docids[np.arange(len(docids)), np.count_nonzero(docids, axis=1)] = self.eos_id
        return docids

    def sequences(self) -> list[list[int]]:
        """Returns the docid of each row as a list, without EOS."""
        docids = self.docids()
        lengths = np.count_nonzero(docids, axis=1)
        return [docid[:length] for docid, length in zip(docids.tolist(), lengths.tolist(), strict=True)]

    def save(self, path: str | Path) -> None:
        """Writes the trie to the directory `path`, through a temporary one beside it; replaces only an older trie.

        `path` is always a complete trie, the older or the new one, except for an instant between two renames. A writer
        killed in that instant leaves the older trie as `.<name>.gr2-old` beside `path`, and `load` says so.

        Raises:
          UserError: `path` has no name of its own (such as "."), or holds something other than a docid trie.
        """
        write_trie(Path(path), self.arrays, self.eos_id, self.vocabulary)

    @classmethod
    def load(cls, path: str | Path, *, vocabulary: str | None = None) -> "DocidTrie":
        """Memory-maps a trie written by `save` and checks every byte once.

        Raises:
          UserError: the trie is missing, damaged, not a docid trie, or made with another vocabulary than `vocabulary`.
        """
        return cls(*read_trie(Path(path), vocabulary))

    @cached_property
    def _levels(self) -> list[int]:
        """The first node of each level, and the number of nodes."""
        levels, nodes = [0], len(self.arrays.token)
        while levels[-1] < nodes:
            levels.append(int(unpack(self.arrays, levels[-1], levels[-1] + 1)[0]))
        return levels

    def _leaves(self) -> Int[np.ndarray, "N"]:
        """Returns the leaf of each docid, ascending."""
        bits = np.unpackbits(self.arrays.leaf_bits.view(np.uint8), bitorder="little")
        return np.flatnonzero(bits).astype(np.int32)

    def _parents(self, depth: int) -> Int[np.ndarray, "level"]:
        """Returns the parent, at `depth`, of each node of the level below."""
        start, stop = self._levels[depth : depth + 2]
        return np.repeat(np.arange(start, stop, dtype=np.int32), np.diff(unpack(self.arrays, start, stop + 1)))
