from functools import partial

import graded_cases as cases
import jax
import jax.numpy as jnp
import numpy as np
import objectives_reference as reference
import pytest
import rax
from graded_cases import B, L, N, graded_batches
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax.errors import UserError
from gr2_jax.losses import lambdarank_loss

value_and_gradient = jax.jit(
    jax.value_and_grad(lambdarank_loss), static_argnames=("gain", "max_positives", "reduction")
)


@pytest.mark.parametrize(("gain", "max_positives"), [("exponential", None), ("linear", None), ("exponential", 4)])
@cases.some
@given(batch=graded_batches(), ties=st.booleans())
def test_value_and_gradient_match_the_float64_loop(gain, max_positives, batch, ties):
    if max_positives:
        batch = cases.with_few_positives(batch, max_positives)
    scores, grades = batch.queries @ batch.docids.T, batch.grades - (batch.queries[:, :1] > 0)  # some are -1
    if ties:
        scores = np.round(scores)
    options = {"docid_mask": batch.mask, "gain": gain, "reduction": "sum"}
    value, gradient = value_and_gradient(scores, grades, max_positives=max_positives, **options)
    if np.any(np.sum((grades > 0) & batch.mask, axis=1) > (max_positives or N)):
        assert np.isnan(value)
        return
    loop = partial(reference.lambdarank, grades=grades, ranked_by=scores, **options)
    np.testing.assert_allclose(value, loop(scores), rtol=1e-5, atol=1e-6)
    cases.assert_gradients([gradient], loop, scores, rtol=1e-4, atol=1e-5)


@partial(jax.jit, static_argnums=3)
@jax.value_and_grad
def rax_lambdarank(scores, grades, where, gain):
    """Its sum over queries; rax multiplies by the length of the list."""
    weights = partial(rax.dcg_lambdaweight, normalize=True)
    if gain == "linear":
        weights = partial(weights, gain_fn=lambda grade: grade)
    pairs = rax.pairwise_logistic_loss(scores, grades, where=where, lambdaweight_fn=weights, reduce_fn=None)
    return jnp.sum(pairs) / scores.shape[-1]


@pytest.mark.parametrize("gain", ["exponential", "linear"])
@cases.some
@given(batch=graded_batches(), ties=st.booleans())
def test_equals_the_lambdarank_of_rax(gain, batch, ties):
    scores = batch.queries @ batch.docids.T
    if ties:
        scores = np.round(scores)
    found = value_and_gradient(scores, batch.grades, docid_mask=batch.mask, gain=gain, reduction="sum")
    where = np.broadcast_to(batch.mask, scores.shape)
    expected = rax_lambdarank(scores, np.float32(batch.grades), where, gain)
    # rax writes log(1 + exp) with max and abs, whose gradients at equal scores are 0 and not 1/2
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-6)
    if not ties:
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-5)


def test_a_worked_example():
    # Grade 2 ranked last of three, grade 1 first. Gains 3 and 1, discounts 1, 1/log2(3), 1/2, ideal 3 + 1/log2(3).
    value, _ = value_and_gradient(jnp.array([[0.0, 1.0, 0.5]]), jnp.array([[2, 1, 0]]))
    second = 1 / np.log2(3)
    pairs = [(3 - 1) * (1 - 1 / 2), 3 * (second - 1 / 2), 1 * (1 - second)]
    differences = np.array([1.0, 0.5, -0.5])
    expected = np.sum(np.array(pairs) * np.log1p(np.exp(differences))) / (3 + second)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


@cases.some
@given(batch=graded_batches(), scale=st.sampled_from([0.0, 1.0, 1e4, 1e20]))
def test_edges_match_the_loop_and_are_finite(batch, scale):
    scores = np.float32(scale) * (batch.queries @ batch.docids.T)
    value, gradient = value_and_gradient(scores, batch.grades, docid_mask=batch.mask)
    expected = reference.lambdarank(scores, batch.grades, docid_mask=batch.mask, gain="exponential", reduction="mean")
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    assert np.all(np.isfinite(gradient))
    if not np.any((batch.grades > 0) & batch.mask):
        assert value == 0
        assert not np.any(gradient)


def test_docids_of_one_grade_have_no_order_to_learn():
    rng = np.random.default_rng(0)
    scores, grades = rng.normal(size=(B, N)).astype(np.float32), np.full((B, N), 2, np.int32)
    value, gradient = value_and_gradient(scores, grades, docid_mask=np.ones(N, bool))
    assert value == 0
    assert not np.any(gradient)


def test_bfloat16_scores_are_computed_in_float32():
    rng = np.random.default_rng(1)
    scores, grades = jnp.bfloat16(rng.normal(size=(B, N))), rng.integers(0, L + 1, (B, N))
    value, gradient = value_and_gradient(scores, grades)
    assert value.dtype == jnp.float32
    assert gradient.dtype == jnp.bfloat16
    expected = reference.lambdarank(np.float32(scores), grades, docid_mask=None, gain="exponential", reduction="mean")
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"grades": np.ones(N, int)}, r"has shape \(7,\)"),
        ({"docid_mask": np.ones(2, bool)}, r"docid_mask has shape \(2,\)"),
        ({"gain": "exponent"}, "did you mean 'exponential'"),
        ({"reduction": "none"}, "reduction='none' is not known"),
        ({"max_positives": 0}, "max_positives=0 must be at least 1"),
    ],
)
def test_a_wrong_argument_raises_a_clear_sentence(keywords, sentence):
    with pytest.raises(UserError, match=sentence):
        value_and_gradient(np.ones((B, N)), **({"grades": np.ones((B, N), int)} | keywords))
