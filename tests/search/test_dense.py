"""Exact search among vectors against sorting all products."""

import dataclasses

import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.search.dense import DenseIndex, nearest_rows
from gr2_jax.search.searcher import Hit

RNG = np.random.default_rng(0)


def _all_sorted(queries, vectors, k):
    """Rows by falling product, then by row."""
    lists = []
    for query in queries:
        products = [float(sum(a * b for a, b in zip(query, vector, strict=True))) for vector in vectors]
        order = sorted(range(len(vectors)), key=lambda row: (-products[row], row))[:k]
        lists.append([(row, products[row]) for row in order])
    return lists


@pytest.mark.parametrize(("documents", "k", "chunk"), [(37, 5, 10), (37, 37, 36), (37, 50, 64), (1, 3, 4), (30, 12, 5)])
def test_the_best_of_all_products_equal_ones_by_row(documents, k, chunk):
    """Whole numbers from -2 to 2: products are exact, and most are equal to others; many are 0 from either side."""
    vectors = RNG.integers(-2, 3, size=(documents, 3)).astype(np.float32)
    queries = np.concatenate([RNG.integers(-2, 3, size=(6, 3)), np.zeros((1, 3))]).astype(np.float32)
    found = nearest_rows(queries, vectors, k, chunk=chunk, batch=3)
    assert found.rows.shape == found.scores.shape == (7, min(k, documents))
    for rows, scores, expected in zip(found.rows, found.scores, _all_sorted(queries, vectors, k), strict=True):
        assert list(zip(rows.tolist(), scores.tolist(), strict=True)) == expected


def test_minus_0_is_0():
    """-1 * 0 is -0, which is no worse than 0."""
    vectors = np.array([[-0.0], [0.0], [-0.0], [-1.0], [0.0]], np.float32)
    found = nearest_rows(np.ones((1, 1), np.float32), vectors, 5, chunk=2)
    np.testing.assert_array_equal(found.rows, [[0, 1, 2, 4, 3]])


def test_chunks_change_nothing_for_vectors_in_a_mapped_file(tmp_path):
    vectors, queries = (RNG.normal(size=(n, 8)).astype(np.float32) for n in (50, 4))
    np.save(tmp_path / "vectors.npy", vectors)
    whole = nearest_rows(queries, vectors, 50)
    parts = nearest_rows(queries, np.load(tmp_path / "vectors.npy", mmap_mode="r"), 50, chunk=16)
    np.testing.assert_array_equal(parts.rows, whole.rows)
    np.testing.assert_allclose(parts.scores, whole.scores, atol=1e-6)


def _index():
    vectors = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    return DenseIndex(["a", "b", "c"], vectors, lambda texts, _: np.array([[len(t), 1] for t in texts], np.float32))


def test_the_index_finds_the_largest_products():
    index = _index()
    assert index.search(["xx", ""], k=2) == [
        [Hit("c", "", 3.0, True), Hit("a", "", 2.0, True)],
        [Hit("b", "", 1.0, True), Hit("c", "", 1.0, True)],
    ]
    assert index.search([]) == []
    assert index.index_bytes == 24
    assert index.with_options(batch=1).search(["xx", ""], k=2) == index.search(["xx", ""], k=2)


def test_what_it_does_not_support_is_refused():
    with pytest.raises(UserError, match="compares every document, 'beams' is for rows that write docids"):
        _index().with_options(beams=5)
    with pytest.raises(UserError, match="a search returns 1 to 10,000 documents, not 0"):
        _index().search(["a"], k=0)


def test_few_queries_are_read_and_compared_in_no_more_than_the_next_power_of_two():
    """With `whole_batches` they fill the batch, so that a list does not depend on what else is asked."""
    batches = []

    def encode(texts, batch):
        batches.append(batch)
        return np.array([[len(text), 1] for text in texts], np.float32)

    index = dataclasses.replace(_index(), encode=encode).with_options(batch=6)
    lists = [index.search(["x"] * count, k=2) for count in (1, 3, 5, 9)]
    assert batches == [1, 4, 6, 6]
    assert lists[3] == lists[0] * 9
    assert index.search(["x"], k=2, whole_batches=True) == lists[0]
    assert batches[-1] == 6
