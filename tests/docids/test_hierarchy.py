import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.docids.hierarchy import hierarchical_codes
from gr2_jax.errors import UserError


def words(codes):
    """The codes as tuples without their padding, which must be at their ends only."""
    found = [tuple(code for code in row if code != -1) for row in codes.tolist()]
    assert [[*word, *[-1] * (codes.shape[1] - len(word))] for word in found] == codes.tolist()
    return found


def check(codes, branches):
    found = words(codes)
    assert codes.dtype == np.int32
    assert codes.max() < branches
    assert codes.min() >= -1
    assert len(set(found)) == len(found)
    ordered = sorted(found)
    assert not any(after[: len(before)] == before for before, after in itertools.pairwise(ordered))
    assert 1 <= codes.shape[1] == max(map(len, found))
    assert codes.shape[1] <= 3 * max(1, math.ceil(round(math.log(len(found), branches), 9)))


@settings(max_examples=30)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 3)),
    different=st.integers(1, 40),
    branches=st.integers(2, 5),
    leaf=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_every_code_is_unique_bounded_and_no_prefix_of_another(shape, different, branches, leaf, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=shape).astype(np.float32)[rng.integers(min(different, shape[0]), size=shape[0])]
    check(hierarchical_codes(vectors, branches=branches, leaf=leaf, seed=seed), branches)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_vectors_are_numbered(value):
    codes = hierarchical_codes(np.full((30, 4), value, np.float32), branches=3, leaf=5, seed=0)
    assert codes.tolist() == [list(word) for word in itertools.islice(itertools.product(range(3), repeat=4), 30)]


def test_few_documents_are_numbered():
    rng = np.random.default_rng(0)
    assert hierarchical_codes(rng.normal(size=(1, 3)), branches=4, leaf=2, seed=0).tolist() == [[0]]
    assert hierarchical_codes(rng.normal(size=(3, 3)), branches=4, leaf=1, seed=0).tolist() == [[0], [1], [2]]


def test_groups_within_groups_share_their_first_codes():
    """Two groups of two groups of five: a code is (group, group within it, number)."""
    angles = [near + within + one / 500 for near in (0.0, 2.0) for within in (0.0, 0.3) for one in range(5)]
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    codes = hierarchical_codes(vectors, branches=2, leaf=5, seed=0)
    assert codes.shape == (20, 2 + 3)
    groups = [set(map(tuple, codes[start : start + 5, :2].tolist())) for start in range(0, 20, 5)]
    assert all(len(group) == 1 for group in groups)
    assert len(set.union(*groups)) == 4
    assert len({next(iter(group))[0] for group in groups[:2]}) == 1
    assert [tuple(row) for row in codes[:5, 2:].tolist()] == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0)]


def test_a_chain_of_outliers_does_not_make_a_deep_tree():
    """Each document is half as far from the rest as the one before, so that k-means splits off few at a time."""
    vectors = np.eye(1, 20).repeat(40, axis=0)
    vectors[np.arange(1, 20), np.arange(1, 20)] = 0.5 ** np.arange(19)
    check(hierarchical_codes(vectors, branches=2, leaf=1, seed=0), 2)


def test_the_seed_determines_the_codes_and_a_memory_mapped_file_equals_its_array(tmp_path):
    vectors = np.random.default_rng(3).normal(size=(200, 5)).astype(np.float32)
    found = hierarchical_codes(vectors, branches=3, leaf=6, seed=0)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    assert hierarchical_codes(mapped, branches=3, leaf=6, seed=0).tobytes() == found.tobytes()
    other = hierarchical_codes(vectors, branches=3, leaf=6, seed=1)
    assert words(other) != words(found)


@pytest.mark.parametrize(("branches", "leaf"), [(1, 5), (0, 5), (2, 0)])
def test_refuses_a_tree_without_branches_or_leaves(branches, leaf):
    with pytest.raises(UserError, match=rf"not {branches} and {leaf}$"):
        hierarchical_codes(np.eye(3), branches=branches, leaf=leaf, seed=0)
