"""Somers' D of similarity by grade, against a loop over all pairs."""

import itertools

import numpy as np
import pytest

from gr2_jax.evaluation.somers_d import similarity_by_grade, somers_d


def loop(grades, similarities):
    """(nearer - farther) / the pairs that differ in grade."""
    pairs = itertools.permutations(zip(grades, map(float, similarities), strict=True), 2)
    signs = [(x > y) - (x < y) for (a, x), (b, y) in pairs if a > b]
    return sum(signs) / len(signs)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_that_of_a_loop_over_pairs(seed):
    random = np.random.default_rng(seed)
    grades = [0, 4, *random.integers(0, 5, 7).tolist()]
    similarities = random.integers(0, 4, 9).astype(np.float32) / 4  # with ties
    similarities[:2] = 0.1, 0.9
    assert somers_d(grades, similarities) == pytest.approx(loop(grades, similarities), abs=1e-12)


def test_the_ends_of_the_scale():
    assert somers_d([3, 2, 1], np.array([0.9, 0.5, -0.2])) == 1
    assert somers_d([3, 1, 1, 1], np.array([0.9, 0.5, -0.2, 0.1])) == 1  # however many share a grade
    assert somers_d([3, 2, 1], np.array([-0.9, 0.5, 0.6])) == -1
    assert somers_d([3, 1], np.array([0.5, 0.5])) == 0  # equally near
    assert somers_d([2, 2, 2], np.array([0.9, 0.5, 0.1])) is None  # one grade
    assert somers_d([4], np.array([0.9])) is None


def test_similarities_are_means_of_each_grade_the_best_first():
    found = similarity_by_grade([1, 4, 1, 0], np.array([0.25, 0.9, 0.75, -0.5], np.float32))
    assert list(found) == [4, 1, 0]
    assert found == pytest.approx({4: 0.9, 1: 0.5, 0: -0.5})
