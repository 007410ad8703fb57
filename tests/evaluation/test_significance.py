import math

import pytest

from gr2_jax.errors import UserError
from gr2_jax.evaluation.significance import holm, paired_t_test


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
