from functools import partial

import jax
import jax.numpy as jnp
import losses_reference as reference
import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.losses import indexing_loss, label_smoothed_nll, query_likelihood_loss

S, T, V, K, L = 2, 3, 5, 6, 3


@jax.jit
def nll_and_gradient(logits, targets, weights, label_smoothing=0.0):
    def total(logits):
        nll = label_smoothed_nll(logits, targets, weights=weights, label_smoothing=label_smoothing)
        return nll.sum(), nll

    gradient, nll = jax.grad(total, has_aux=True)(logits)
    return nll, gradient


query_likelihood = jax.jit(jax.value_and_grad(query_likelihood_loss), static_argnames=("num_grades", "reduction"))


@pytest.fixture(scope="module")
def sequences():
    rng = np.random.default_rng(0)
    logits = (3 * rng.normal(size=(S, 2, T, V))).astype(np.float32)
    weights = rng.choice([0.0, 1.0, 0.5], size=(S, 2, T)).astype(np.float32)
    return logits, rng.integers(0, V, size=(S, 2, T)), weights


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_label_smoothed_nll_matches_the_float64_loop(sequences, label_smoothing):
    logits, targets, weights = sequences

    def loop(logits):
        return np.array(
            [
                [
                    reference.label_smoothed_nll(logits[s, k], targets[s, k], weights[s, k], label_smoothing)
                    for k in range(2)
                ]
                for s in range(S)
            ]
        )

    nll, gradient = nll_and_gradient(logits, targets, weights, label_smoothing)
    np.testing.assert_allclose(nll, loop(np.float64(logits)), rtol=1e-5, atol=1e-6)
    (numeric,) = reference.numeric_gradients(lambda x: loop(x).sum(), logits)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-5)


def test_padding_adds_nothing_whatever_its_target(sequences):
    logits, targets, weights = sequences
    expected, _ = nll_and_gradient(logits, targets, weights)
    nll, gradient = nll_and_gradient(logits, np.where(weights == 0, -100, targets), weights)
    np.testing.assert_array_equal(nll, expected)
    assert np.all(np.isfinite(gradient))
    assert not np.any(gradient[weights == 0])


def test_huge_and_masked_logits_stay_finite():
    logits = jnp.array([[1e30, -1e30, 0.0], [0.0, 1.0, -jnp.inf]])
    nll, gradient = nll_and_gradient(logits, jnp.array([0, 1]), jnp.ones(2))
    np.testing.assert_allclose(nll, np.log(1 + np.exp(-1)), rtol=1e-6)
    assert np.all(np.isfinite(gradient))


def test_bfloat16_logits_are_computed_in_float32(sequences):
    logits, targets, weights = sequences
    half = jnp.bfloat16(logits)
    nll, gradient = nll_and_gradient(half, targets, weights, 0.1)
    assert nll.dtype == jnp.float32
    assert gradient.dtype == jnp.bfloat16
    expected, _ = nll_and_gradient(np.float32(half), targets, weights, 0.1)
    np.testing.assert_allclose(nll, expected, rtol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("seed", range(4))
def test_query_likelihood_matches_the_float64_loop(reduction, seed):
    rng = np.random.default_rng(seed)
    nll = rng.exponential(size=(4, K)).astype(np.float32)
    grades = rng.integers(0, L + 1, size=(4, K))
    grades[seed % 4] = 0
    value, gradient = query_likelihood(nll, grades, num_grades=L, reduction=reduction)
    loop = partial(reference.query_likelihood, grades=grades, num_grades=L, reduction=reduction)
    np.testing.assert_allclose(value, loop(nll), rtol=1e-6)
    (numeric,) = reference.numeric_gradients(loop, nll)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-6)


def test_query_likelihood_without_positives_is_zero_even_over_nan():
    nll = np.full((2, 3), np.nan, np.float32)
    value, gradient = query_likelihood(nll, np.zeros((2, 3), int), num_grades=2)
    assert value == 0
    assert not np.any(gradient)
    assert np.isnan(query_likelihood(nll, np.full((2, 3), 3), num_grades=2)[0])


def test_indexing_loss_is_the_mean_or_sum_under_the_mask():
    nll, mask = jnp.array([1.0, 2.0, 6.0, jnp.nan]), jnp.array([True, True, True, False])
    assert indexing_loss(nll, mask) == 3
    assert indexing_loss(nll, mask, reduction="sum") == 9
    assert indexing_loss(nll[:2]) == 1.5
    assert indexing_loss(nll, jnp.zeros(4, bool)) == 0
    np.testing.assert_allclose(jax.grad(indexing_loss)(nll, mask), [1 / 3, 1 / 3, 1 / 3, 0])


def test_wrong_shapes_are_refused(sequences):
    logits, targets, weights = sequences
    with pytest.raises(UserError, match="targets has shape"):
        label_smoothed_nll(logits, targets[0], weights=weights)
    with pytest.raises(UserError, match="weights has shape"):
        label_smoothed_nll(logits, targets, weights=weights[0])
    with pytest.raises(UserError, match="grades has shape"):
        query_likelihood_loss(jnp.ones((2, 3)), jnp.ones(3, int), num_grades=2)
    with pytest.raises(UserError, match="mask has shape"):
        indexing_loss(jnp.ones(3), jnp.ones(2, bool))
