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
from losses_reference import supervised_contrastive as contrastive

from gr2_jax.errors import UserError
from gr2_jax.losses import graded_cross_entropy_loss

value_and_gradient = jax.jit(jax.value_and_grad(graded_cross_entropy_loss), static_argnames="reduction")


@cases.some
@given(batch=graded_batches())
def test_value_and_gradient_match_the_float64_loop(batch):
    scores, grades = 3 * batch.queries @ batch.docids.T, batch.grades - (batch.queries[:, :1] > 0)  # some are -1
    value, gradient = value_and_gradient(scores, grades, docid_mask=batch.mask, reduction="sum")
    loop = partial(reference.graded_cross_entropy, grades=grades, docid_mask=batch.mask, reduction="sum")
    np.testing.assert_allclose(value, loop(scores), rtol=1e-5, atol=1e-5)
    cases.assert_gradients([gradient], loop, scores, rtol=1e-4, atol=1e-5)


@jax.jit
@jax.value_and_grad
def rax_softmax(scores, grades, where):
    """Its sum over queries; labels that sum to 1, and no labels where no docid is relevant."""

    def shares(labels, where):
        return labels / jnp.maximum(jnp.sum(labels, axis=-1, where=where, keepdims=True), 1)

    return rax.softmax_loss(scores, grades, where=where, label_fn=shares, reduce_fn=jnp.sum)


@cases.some
@given(batch=graded_batches())
def test_equals_the_softmax_loss_of_rax(batch):
    scores, mask = batch.queries @ batch.docids.T, batch.mask | (np.arange(N) == 0)  # rax is NaN without a docid
    found = value_and_gradient(scores, batch.grades, docid_mask=mask, reduction="sum")
    expected = rax_softmax(scores, np.float32(batch.grades), np.broadcast_to(mask, scores.shape))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), found, expected)


def test_equal_grades_are_supervised_contrastive():
    rng = np.random.default_rng(0)
    queries, docids, positives = rng.normal(size=(B, 4)), rng.normal(size=(N, 4)), rng.random((B, N)) < 0.5
    value, _ = value_and_gradient(queries @ docids.T, 2 * positives)
    expected = contrastive(
        queries, docids, positives, similarity="dot", docid_mask=None, reduction="mean", temperature=1.0
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@cases.some
@given(batch=graded_batches(), scale=st.sampled_from([0.0, 1.0, 1e4, 1e20]))
def test_edges_match_the_loop_and_are_finite(batch, scale):
    scores = np.float32(scale) * (batch.queries @ batch.docids.T)
    value, gradient = value_and_gradient(scores, batch.grades, docid_mask=batch.mask)
    expected = reference.graded_cross_entropy(scores, batch.grades, docid_mask=batch.mask, reduction="mean")
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6 * scale)
    assert np.all(np.isfinite(gradient))
    if not np.any((batch.grades > 0) & batch.mask):
        assert value == 0
        assert not np.any(gradient)


def test_bfloat16_scores_are_computed_in_float32():
    rng = np.random.default_rng(1)
    scores, grades = jnp.bfloat16(rng.normal(size=(B, N))), rng.integers(0, L + 1, (B, N))
    value, gradient = value_and_gradient(scores, grades)
    assert value.dtype == jnp.float32
    assert gradient.dtype == jnp.bfloat16
    expected = reference.graded_cross_entropy(np.float32(scores), grades, docid_mask=None, reduction="mean")
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"grades": np.ones(N, int)}, r"has shape \(7,\)"),
        ({"docid_mask": np.ones(2, bool)}, r"docid_mask has shape \(2,\)"),
        ({"reduction": "none"}, "reduction='none' is not known"),
    ],
)
def test_a_wrong_argument_raises_a_clear_sentence(keywords, sentence):
    with pytest.raises(UserError, match=sentence):
        value_and_gradient(np.ones((B, N)), **({"grades": np.ones((B, N), int)} | keywords))
