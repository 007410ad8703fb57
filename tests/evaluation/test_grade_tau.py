"""Kendall's tau-b of grades and similarities, against a loop over all pairs and against SciPy."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from gr2_jax.evaluation.grade_tau import grade_tau, similarity_by_grade


def loop(grades, similarities):
    """tau-b = (concordant - discordant) / sqrt((pairs without ties in grade) (pairs without ties in similarity))."""
    agree, by_grade, by_similarity = 0, 0, 0
    for (a, x), (b, y) in itertools.combinations(zip(grades, map(float, similarities), strict=True), 2):
        agree += math.copysign(1, (a - b) * (x - y)) if a != b and x != y else 0
        by_grade += a != b
        by_similarity += x != y
    return agree / math.sqrt(by_grade * by_similarity)


@pytest.mark.parametrize("seed", range(8))
def test_tau_is_that_of_a_loop_over_pairs_and_of_scipy(seed):
    random = np.random.default_rng(seed)
    grades = [0, 4, *random.integers(0, 5, 7).tolist()]
    similarities = random.integers(0, 4, 9).astype(np.float32) / 4  # with ties
    similarities[:2] = 0.1, 0.9
    found = grade_tau(grades, similarities)
    assert found == pytest.approx(loop(grades, similarities), abs=1e-12)
    assert found == pytest.approx(kendalltau(grades, similarities.astype(np.float64)).statistic, abs=1e-12)


def test_the_ends_of_the_scale():
    assert grade_tau([3, 2, 1], np.array([0.9, 0.5, -0.2])) == 1
    assert grade_tau([3, 2, 1], np.array([-0.9, 0.5, 0.6])) == -1
    assert grade_tau([3, 1], np.array([0.5, 0.5])) == 0  # equally near
    assert grade_tau([2, 2, 2], np.array([0.9, 0.5, 0.1])) is None  # one grade
    assert grade_tau([4], np.array([0.9])) is None


def test_similarities_are_means_of_each_grade_the_best_first():
    found = similarity_by_grade([1, 4, 1, 0], np.array([0.25, 0.9, 0.75, -0.5], np.float32))
    assert list(found) == [4, 1, 0]
    assert found == pytest.approx({4: 0.9, 1: 0.5, 0: -0.5})
