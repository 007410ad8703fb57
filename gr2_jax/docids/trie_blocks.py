"""`first_child` and the leaves of TrieArrays: packed by blocks of 32 nodes, and unpacked again."""

import numpy as np
from jaxtyping import Bool, Int, UInt

from gr2_jax.decoding.trie_arrays import BLOCK, TrieArrays

_MOST_OFFSET = np.iinfo(np.uint8).max


class BlockPacker:
    """Packs the ascending first children of all nodes, given piece by piece, into `base`, `offset` and `wide`."""

    def __init__(self, nodes: int):
        blocks = nodes // BLOCK + 1
        self.base = np.empty(blocks, np.int32)
        self.offset = np.zeros((blocks, BLOCK), np.uint8)
        self._nodes, self._packed = nodes, 0
        self._wide, self._wides = [], 0
        self._rest = np.empty(0, np.int32)

    def add(self, first: Int[np.ndarray, "n"]) -> None:
        first = np.concatenate([self._rest, first])
        count = len(first) // BLOCK
        self._rest = first[count * BLOCK :]
        if not count:
            return
        blocks = first[: count * BLOCK].reshape(count, BLOCK)
        here = slice(self._packed, self._packed + count)
        offset = blocks - blocks[:, :1]
        is_wide = offset[:, -1] > _MOST_OFFSET
        if not self._packed:
            is_wide[0] = True  # so that the table is never empty, which a gather rejects
        places = np.flatnonzero(is_wide)
        offset[places] = 0
        self.offset[here], self.base[here] = offset, blocks[:, 0]
        self.base[here][places] = -1 - self._wides - np.arange(len(places))
        self._wide.append(blocks[places])
        self._wides += len(places)
        self._packed += count

    def finish(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns `base`, `offset` and `wide`; the last block is padded with the number of nodes."""
        self.add(np.full(BLOCK - len(self._rest), self._nodes, np.int32))
        return self.base, self.offset.reshape(-1), np.concatenate(self._wide)


def unpack(arrays: TrieArrays, start: int, stop: int) -> Int[np.ndarray, "stop-start"]:
    """Returns the first child of the nodes `start` .. `stop` - 1, as an array of int32."""
    blocks = slice(start // BLOCK, -(-stop // BLOCK))
    base = arrays.base[blocks]
    first = base[:, None] + arrays.offset.reshape(-1, BLOCK)[blocks]
    places = np.flatnonzero(base < 0)
    first[places] = arrays.wide[-1 - base[places]]
    return first.ravel()[start % BLOCK :][: stop - start]


def pack_bits(marked: Bool[np.ndarray, "nodes"]) -> UInt[np.ndarray, "blocks"]:
    """A bit per node, a word per block."""
    words = np.zeros(len(marked) // BLOCK + 1, "<u4")
    packed = np.packbits(marked, bitorder="little")
    words.view(np.uint8)[: len(packed)] = packed
    return words


def pack_leaves(is_leaf: Bool[np.ndarray, "nodes"]) -> tuple[np.ndarray, np.ndarray]:
    """Returns `leaf_bits` and `leaves_before`."""
    leaf_bits = pack_bits(is_leaf)
    counts = np.bitwise_count(leaf_bits)
    return leaf_bits, np.cumsum(counts, dtype=np.int32) - counts
