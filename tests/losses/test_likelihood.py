from functools import partial

import graded_cases as cases
import jax
import jax.numpy as jnp
import numpy as np
import objectives_reference as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gr2_jax.errors import UserError
from gr2_jax.losses import graded_likelihood_loss, indexing_loss, label_smoothed_nll, query_likelihood_loss

S, T, V, B, K, L = 2, 3, 5, 4, 6, 3
seeds = st.integers(0, 10**6)


@jax.jit
def nll_and_gradient(logits, targets, weights, label_smoothing=0.0):
    def total(logits):
        nll = label_smoothed_nll(logits, targets, weights=weights, label_smoothing=label_smoothing)
        return nll.sum(), nll

    gradient, nll = jax.grad(total, has_aux=True)(logits)
    return nll, gradient


query_likelihood = jax.jit(jax.value_and_grad(query_likelihood_loss), static_argnames=("num_grades", "reduction"))
graded_likelihood = jax.jit(jax.value_and_grad(graded_likelihood_loss), static_argnames="reduction")
indexing = jax.jit(jax.value_and_grad(indexing_loss), static_argnames="reduction")


def sequences(seed=0):
    rng = np.random.default_rng(seed)
    logits = (3 * rng.normal(size=(S, 2, T, V))).astype(np.float32)
    weights = rng.choice([0.0, 1.0, 0.5], size=(S, 2, T)).astype(np.float32)
    return logits, rng.integers(0, V, size=(S, 2, T)), weights


@cases.few
@given(seed=seeds, label_smoothing=st.sampled_from([0.0, 0.1, 1.0]))
def test_label_smoothed_nll_matches_the_float64_loop(seed, label_smoothing):
    logits, targets, weights = sequences(seed)

    def loop(logits):
        one = partial(reference.label_smoothed_nll, label_smoothing=label_smoothing)
        return np.array([[one(logits[s, k], targets[s, k], weights[s, k]) for k in range(2)] for s in range(S)])

    nll, gradient = nll_and_gradient(logits, targets, weights, label_smoothing)
    np.testing.assert_allclose(nll, loop(np.float64(logits)), rtol=1e-5, atol=1e-6)
    cases.assert_gradients([gradient], lambda x: loop(x).sum(), logits, rtol=1e-4, atol=1e-5)


def test_padding_adds_nothing_whatever_its_target():
    logits, targets, weights = sequences()
    expected, _ = nll_and_gradient(logits, targets, weights)
    nll, gradient = nll_and_gradient(logits, np.where(weights == 0, -100, targets), weights)
    np.testing.assert_array_equal(nll, expected)
    assert np.all(np.isfinite(gradient))
    assert not np.any(np.asarray(gradient)[weights == 0])


def test_huge_and_masked_logits_stay_finite():
    logits = jnp.array([[1e30, -1e30, 0.0], [0.0, 1.0, -jnp.inf]])
    nll, gradient = nll_and_gradient(logits, jnp.array([0, 1]), jnp.ones(2))
    np.testing.assert_allclose(nll, np.log(1 + np.exp(-1)), rtol=1e-6)
    assert np.all(np.isfinite(gradient))


def test_bfloat16_logits_are_computed_in_float32():
    logits, targets, weights = sequences()
    half = jnp.bfloat16(logits)
    nll, gradient = nll_and_gradient(half, targets, weights, 0.1)
    assert nll.dtype == jnp.float32
    assert gradient.dtype == jnp.bfloat16
    expected, _ = nll_and_gradient(np.float32(half), targets, weights, 0.1)
    np.testing.assert_allclose(nll, expected, rtol=1e-6)


@st.composite
def judged_nll(draw, scale=1.0):
    """Sequence losses and grades [B,K]; queries without a positive, with one grade, with every grade."""
    nll = np.random.default_rng(draw(seeds)).exponential(scale, size=(B, K)).astype(np.float32)
    return nll, draw(arrays.arrays(np.int32, (B, K), elements=st.integers(0, L), fill=st.nothing()))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@cases.some
@given(case=judged_nll())
def test_query_likelihood_matches_the_float64_loop(reduction, case):
    nll, grades = case
    value, gradient = query_likelihood(nll, grades, num_grades=L, reduction=reduction)
    loop = partial(reference.query_likelihood, grades=grades, num_grades=L, reduction=reduction)
    np.testing.assert_allclose(value, loop(nll), rtol=1e-6)
    cases.assert_gradients([gradient], loop, nll, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@cases.some
@given(case=judged_nll(), lower=st.integers(0, 1))
def test_graded_likelihood_matches_the_float64_loop(reduction, case, lower):
    nll, grades = case[0], case[1] - lower  # -1 is padding too
    value, gradient = graded_likelihood(nll, grades, reduction=reduction)
    loop = partial(reference.graded_likelihood, grades=grades, reduction=reduction)
    np.testing.assert_allclose(value, loop(nll), rtol=1e-6)
    cases.assert_gradients([gradient], loop, nll, rtol=1e-5, atol=1e-6)


@cases.some
@given(case=judged_nll(scale=1e4))
def test_with_one_grade_both_are_the_mean_over_positives(case):
    nll, grades = case
    two = np.where(grades > 0, 2, 0)
    by_grade, weighted = query_likelihood(nll, two, num_grades=L), graded_likelihood(nll, two)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), by_grade, weighted)


@pytest.mark.parametrize("loss", [partial(query_likelihood, num_grades=2), graded_likelihood], ids=["Eq. 11", "graded"])
def test_without_positives_the_loss_is_zero_even_over_nan(loss):
    nll = np.full((2, 3), np.nan, np.float32)
    value, gradient = loss(nll, np.zeros((2, 3), int))
    assert value == 0
    assert not np.any(gradient)
    half = loss(jnp.ones((2, 3), jnp.bfloat16), np.eye(2, 3, dtype=int))
    assert half[0] == 1
    assert (half[0].dtype, half[1].dtype) == (jnp.float32, jnp.bfloat16)


def test_a_grade_outside_the_scale_gives_nan():
    nll = np.ones((2, 3), np.float32)
    assert np.isnan(query_likelihood(nll, np.full((2, 3), 3), num_grades=2)[0])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@cases.some
@given(case=judged_nll())
def test_indexing_loss_is_the_mean_or_sum_under_the_mask(reduction, case):
    nll, mask = case[0].ravel(), case[1].ravel() > 1
    value, gradient = indexing(np.where(mask, nll, np.nan), mask, reduction=reduction)
    kept = [float(x) for x, keep in zip(nll, mask, strict=True) if keep]
    np.testing.assert_allclose(value, reference.reduce(kept, reduction), rtol=1e-6)
    np.testing.assert_allclose(gradient, mask / (len(kept) if reduction == "mean" and kept else 1), rtol=1e-6)
    if reduction == "mean":
        np.testing.assert_allclose(indexing(nll)[0], nll.mean(), rtol=1e-6)


def test_wrong_shapes_are_refused():
    logits, targets, weights = sequences()
    with pytest.raises(UserError, match="targets has shape"):
        label_smoothed_nll(logits, targets[0], weights=weights)
    with pytest.raises(UserError, match="weights has shape"):
        label_smoothed_nll(logits, targets, weights=weights[0])
    with pytest.raises(UserError, match="grades has shape"):
        query_likelihood_loss(jnp.ones((2, 3)), jnp.ones(3, int), num_grades=2)
    with pytest.raises(UserError, match="grades has shape"):
        graded_likelihood_loss(jnp.ones((2, 3)), jnp.ones(3, int))
    with pytest.raises(UserError, match="mask has shape"):
        indexing_loss(jnp.ones(3), jnp.ones(2, bool))
