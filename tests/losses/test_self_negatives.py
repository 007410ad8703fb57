import math
from functools import partial

import jax
import jax.numpy as jnp
import losses_reference as reference
import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.losses import self_negative_loss

B, K, H, L = 4, 5, 3, 3

value_and_gradients = jax.jit(
    jax.value_and_grad(self_negative_loss, argnums=(0, 2)), static_argnames=("num_grades", "reduction")
)


def loop(positive_nll, negative_nll, grades, mask, reduction):
    """Plain probabilities, their quotient, its logarithm; the averages of Eq. 11."""
    per_query = []
    for positives, judged, negatives, kept in zip(positive_nll, grades, negative_nll, mask, strict=True):
        wrong = sum(math.exp(-x) for x, keep in zip(negatives, kept, strict=True) if keep)
        by_grade = {}
        for nll, grade in zip(positives, judged, strict=True):
            if grade > 0:
                by_grade.setdefault(int(grade), []).append(-math.log(math.exp(-nll) / (math.exp(-nll) + wrong)))
        if by_grade:
            per_query.append(sum(sum(xs) / len(xs) for xs in by_grade.values()) / len(by_grade))
    return reference.reduce(per_query, reduction)


def random_batch(seed):
    """One query has no positive, another no negative."""
    rng = np.random.default_rng(seed)
    positive, negative = (rng.exponential(3.0, size=(B, n)).astype(np.float32) for n in (K, H))
    grades, mask = rng.integers(0, L + 1, size=(B, K)), rng.random((B, H)) < 0.7
    grades[seed % B], mask[(seed + 1) % B] = 0, False
    grades[(seed + 1) % B, 0] = 1
    return positive, grades, negative, mask


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("seed", range(4))
def test_matches_the_float64_loop(seed, reduction):
    positive, grades, negative, mask = random_batch(seed)
    value, gradients = value_and_gradients(positive, grades, negative, mask, num_grades=L, reduction=reduction)
    plain = partial(loop, grades=grades, mask=mask, reduction=reduction)
    np.testing.assert_allclose(value, plain(positive, negative), rtol=1e-5)
    for found, numeric in zip(gradients, reference.numeric_gradients(plain, positive, negative), strict=True):
        np.testing.assert_allclose(found, numeric, rtol=1e-4, atol=1e-6)


def test_a_query_without_negatives_adds_nothing_and_counts():
    """One query of two: half its loss. Masked values do not matter, not even NaN."""
    positive, negative = np.array([[1.0], [2.0]]), np.array([[3.0], [np.nan]])
    arguments = positive, np.ones((2, 1), int), negative, np.array([[True], [False]])
    value, (to_positive, to_negative) = value_and_gradients(*arguments, num_grades=1)
    share = math.exp(-3) / (math.exp(-1) + math.exp(-3))  # the negative's share of the two
    np.testing.assert_allclose(value, -math.log(1 - share) / 2, rtol=1e-6)
    np.testing.assert_allclose(to_positive, [[share / 2], [0]], rtol=1e-6)
    np.testing.assert_allclose(to_negative, [[-share / 2], [0]], rtol=1e-6)


def test_without_any_negative_or_any_positive_it_is_zero_with_zero_gradient():
    positive, grades, negative, mask = random_batch(0)
    padding = np.full_like(positive, np.nan)
    cases = [(positive, grades, negative, np.zeros_like(mask)), (padding, np.zeros_like(grades), negative, mask)]
    for case in cases:
        value, gradients = value_and_gradients(*case, num_grades=L)
        assert value == 0
        assert not any(np.any(gradient) for gradient in gradients)
    none = np.zeros((B, 0))
    assert self_negative_loss(positive, grades, none, none.astype(bool), num_grades=L) == 0


def test_huge_values_stay_finite_and_right():
    """No float holds these likelihoods: only their quotients matter."""
    positive, negative = np.array([[9000.0, 1e30]]), np.array([[9001.0, 9000.0]])
    value, gradients = value_and_gradients(positive, np.array([[1, 2]]), negative, np.ones((1, 2), bool), num_grades=2)
    np.testing.assert_allclose(value, (math.log(2 + math.exp(-1)) + 1e30) / 2, rtol=1e-6)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)
    far, _ = value_and_gradients(negative, np.array([[1, 2]]), positive + 1e30, np.ones((1, 2), bool), num_grades=2)
    assert far == 0


def test_half_precision_is_computed_in_float32():
    positive, grades, negative, mask = random_batch(1)
    half = jnp.bfloat16(positive), jnp.bfloat16(negative)
    value, gradients = value_and_gradients(half[0], grades, half[1], mask, num_grades=L)
    expected, _ = value_and_gradients(np.float32(half[0]), grades, np.float32(half[1]), mask, num_grades=L)
    assert value.dtype == jnp.float32
    assert all(gradient.dtype == jnp.bfloat16 for gradient in gradients)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_a_grade_outside_the_scale_gives_nan():
    positive, grades, negative, mask = random_batch(2)
    loss = jax.jit(partial(self_negative_loss, num_grades=L))  # where the grades are known they are refused
    assert np.isnan(loss(positive, grades + 3, negative, mask))


def test_wrong_shapes_and_options_are_refused():
    positive, grades, negative, mask = random_batch(3)
    for arguments, message in [
        ((positive, grades[0], negative, mask), "grades has shape"),
        ((positive, grades, negative, mask[:, :1]), "negative_mask has shape"),
        ((positive, grades, negative[:1], mask[:1]), "negative_nll has shape"),
    ]:
        with pytest.raises(UserError, match=message):
            self_negative_loss(*arguments, num_grades=L)
    with pytest.raises(UserError, match="reduction='max' is not known"):
        self_negative_loss(positive, grades, negative, mask, num_grades=L, reduction="max")


def test_a_weight_counts_a_negative_more_than_once_or_not_at_all():
    positive, grades, negative, mask = random_batch(2)
    mask[:] = True
    weights = np.array([2.0, 0.0, 1.0], np.float32)[None].repeat(B, axis=0)
    value = self_negative_loss(positive, grades, negative, mask, num_grades=L, negative_weights=weights)
    as_often = np.stack([negative[:, 0], negative[:, 0], negative[:, 2]], axis=1)
    np.testing.assert_allclose(value, loop(positive, as_often, grades, mask, "mean"), rtol=1e-5)
    gradient = jax.grad(self_negative_loss, argnums=2)
    found = gradient(positive, grades, negative, mask, num_grades=L, negative_weights=weights)
    assert np.isfinite(found).all()
    assert not found[:, 1].any()
