import itertools
import math
import warnings

import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.evaluation.significance import holm, mean_interval, paired_t_test, randomisation_test


def test_t_test_by_hand():
    # d = 1, 2, 3: mean 2, sample deviation 1, t = 2 sqrt(3); with 2 degrees of freedom p = 1 - t / sqrt(t^2 + 2).
    a = {"1": 2.0, "2": 4.0, "3": 3.0, "only a": 9.0}
    b = {"only b": 7.0, "3": 0.0, "2": 2.0, "1": 1.0}
    t = 2 * math.sqrt(3)
    assert paired_t_test(a, b) == pytest.approx(1 - t / math.sqrt(t * t + 2))
    assert paired_t_test(b, a) == pytest.approx(paired_t_test(a, b))


def test_t_test_at_the_edges():
    same = {"1": 0.1, "2": 0.7}
    assert paired_t_test(same, dict(same)) == 1.0
    assert paired_t_test({"1": 0.5, "2": 1.0}, {"1": 1.0, "2": 0.5}) == 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert paired_t_test({"1": 1.0, "2": 1.0, "3": 1.0}, {"1": 0.0, "2": 0.0, "3": 0.0}) == 0.0
    with pytest.raises(UserError, match="found 1"):
        paired_t_test(same, {"2": 0.5, "3": 0.5})


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, then never below the one before.
    corrected = holm({"c": 0.03, "a": 0.01, "d": 0.04, "b": 0.02})
    assert list(corrected) == ["c", "a", "d", "b"]
    assert corrected == pytest.approx({"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.06})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.03}) == {"a": 0.03}
    assert holm({}) == {}


def test_randomisation_by_hand():
    # d = 1, 2, 4: of the 8 ways to set signs, sums of at least 7 in size: all plus, all minus; of at least 5: 4 ways
    values = {"1": 1.0, "2": 2.0, "3": 4.0, "only a": 9.0}
    zeros = {"3": 0.0, "2": 0.0, "1": 0.0}
    assert randomisation_test(values, zeros) == pytest.approx(2 / 8)
    assert randomisation_test(zeros, values) == pytest.approx(2 / 8)
    assert randomisation_test(values | {"1": -1.0}, zeros) == pytest.approx(4 / 8)
    assert randomisation_test(zeros, dict(zeros)) == 1.0
    with pytest.raises(UserError, match="randomisation test needs two queries that both runs have, found 1"):
        randomisation_test(zeros, {"2": 0.5, "9": 0.5})


def test_randomisation_by_samples_is_near_all_ways_and_repeats_itself():
    differences = np.random.default_rng(3).normal(0.3, 1.0, 16)
    signs = np.array(list(itertools.product((-1, 1), repeat=16)))
    exact = np.mean(np.abs(signs @ differences) >= np.abs(differences.sum()) - 1e-12)
    a, b = {str(i): d for i, d in enumerate(differences)}, dict.fromkeys(map(str, range(16)), 0.0)
    assert randomisation_test(a, b) == pytest.approx(exact)
    sampled = randomisation_test(a, b, samples=4_000)
    assert sampled == pytest.approx(exact, abs=0.03)
    assert sampled == randomisation_test(a, b, samples=4_000)
    assert sampled != randomisation_test(a, b, samples=4_000, seed=1)
    assert randomisation_test(a, b) == pytest.approx(paired_t_test(a, b), abs=0.02)


@pytest.mark.parametrize(("queries", "tolerance"), [(2, 1e-12), (9, 1e-12), (40, 0.01), (300, 0.01)])
def test_randomisation_equals_scipy_with_many_ties(queries, tolerance):
    from scipy.stats import permutation_test

    a, b = np.random.default_rng(queries).integers(0, 5, (2, queries)) / 10
    expected = permutation_test(
        (a, b), lambda x, y: np.sum(x - y), permutation_type="samples", n_resamples=10_000, vectorized=False, rng=0
    )
    sides = [{str(i): value for i, value in enumerate(values)} for values in (a, b)]
    assert randomisation_test(*sides) == pytest.approx(expected.pvalue, abs=3 * tolerance)


def test_balanced_differences_are_no_difference():
    """Both sum to the same in twentieths: every way to set the signs is at least as far from 0."""
    a, b = ({str(i): x / 20 for i, x in enumerate(values)} for values in ([4, 4, 1, 2, 5], [4, 3, 2, 5, 2]))
    assert randomisation_test(a, b) == 1.0


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_the_interval_of_a_mean_is_scipys(level):
    from scipy.stats import ttest_1samp

    values = np.random.default_rng(3).beta(0.4, 0.7, 23)
    low, high = ttest_1samp(values, 0).confidence_interval(level)
    assert mean_interval(values, level=level) == pytest.approx((low, high))


def test_the_interval_of_a_mean_by_hand_and_at_the_edges():
    # 1, 2, 3: mean 2, deviation 1; with 2 degrees of freedom t = (2p - 1) sqrt(2 / (4 p (1 - p))) at p = .975
    half = 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025)) / math.sqrt(3)
    assert mean_interval({"a": 1.0, "b": 2.0, "c": 3.0}.values()) == pytest.approx((2 - half, 2 + half))
    assert mean_interval([0.25] * 4) == (0.25, 0.25)
    assert mean_interval([0.25]) is None
    assert mean_interval([]) is None
