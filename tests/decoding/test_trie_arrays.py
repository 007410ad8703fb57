import jax
import jax.numpy as jnp
import numpy as np
import pytest
from plain_search import pack_slowly

from gr2_jax.decoding.trie_arrays import first_child, has_one_docid, row_of
from gr2_jax.docids import DocidTrie


def assert_reads(arrays, first, row):
    """`first` of every node and of the number of nodes, `row` of every node."""
    nodes = np.arange(len(first), dtype=np.int32)
    found_first, found_row = jax.jit(lambda trie, n: (first_child(trie, n), row_of(trie, n[:-1])))(arrays, nodes)
    assert found_first.dtype == found_row.dtype == np.int32
    np.testing.assert_array_equal(found_first, first)
    np.testing.assert_array_equal(found_row, row)


@pytest.mark.parametrize("nodes", [31, 32, 33, 64])
def test_any_ascending_list_and_any_leaves(nodes):
    rng = np.random.default_rng(nodes)
    steps = rng.choice([0, 1, 5, 3000, 2**24], nodes, p=[0.4, 0.3, 0.2, 0.05, 0.05])
    steps[32:] = rng.integers(0, 8, len(steps[32:]))  # the second block packs, its last offset near or past 128
    first = [1, *(1 + np.cumsum(steps)).tolist()]
    row = [None if leaf else int(r) for leaf, r in zip(rng.random(nodes) < 0.5, rng.permutation(nodes), strict=True)]
    alone = rng.random(nodes) < 0.5
    arrays = pack_slowly([0] * nodes, row, first, alone.tolist(), nodes, docids=nodes)
    assert_reads(arrays, first, [-1 if r is None else r for r in row])
    assert has_one_docid(jax.tree.map(jnp.asarray, arrays), jnp.arange(nodes)).tolist() == alone.tolist()


def test_a_built_trie_in_plain_numpy():
    tokens = np.arange(10, 700)
    docids = [*([2, 3, t] for t in tokens), *([t, 5] for t in tokens), *([t] for t in tokens[::3])]
    arrays = DocidTrie.from_sequences(docids).arrays
    blocks = [
        arrays.wide[-1 - base] if base < 0 else base + offset.astype(int)
        for base, offset in zip(arrays.base, arrays.offset.reshape(-1, 32), strict=True)
    ]
    assert 1 < np.count_nonzero(arrays.base < 0) < len(arrays.base)
    row, leaves = np.full(len(arrays.token), -1), np.flatnonzero(arrays.token == 1)
    row[leaves] = arrays.row
    assert_reads(arrays, np.concatenate(blocks)[: len(arrays.token) + 1], row)


def test_any_shape_of_nodes():
    arrays = DocidTrie.from_sequences([[2, 3], [2]]).arrays  # 0 -2-> 1, 1 -end-> 2, 1 -3-> 3, 3 -end-> 4
    arrays = jax.tree.map(jax.numpy.asarray, arrays)
    nodes = np.array([[[0, 1], [2, 3]]])
    assert first_child(arrays, nodes).tolist() == [[[1, 2], [4, 4]]]
    assert row_of(arrays, nodes).tolist() == [[[-1, -1], [1, -1]]]
    assert int(row_of(arrays, np.int32(4))) == 0
