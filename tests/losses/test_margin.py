"""The pairwise margin against a loop over pairs."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.errors import UserError
from gr2_jax.losses import margin_loss

compiled = jax.jit(jax.value_and_grad(margin_loss), static_argnames="reduction")


def loop(scores, grades, mask, margin):
    per_query = []
    for own, judged, kept in zip(scores.astype(np.float64), np.maximum(grades, 0), mask, strict=True):
        places = np.flatnonzero(kept)
        pairs = [max(0.0, margin - own[i] + own[j]) for i in places for j in places if judged[i] > judged[j]]
        per_query += [np.mean(pairs)] if pairs else []
    return per_query


@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.5, 3.0]))
@settings(max_examples=30)
def test_matches_the_loop_over_pairs(seed, margin):
    rng = np.random.default_rng(seed)
    scores, grades = rng.normal(size=(3, 5)).astype(np.float32), rng.integers(-1, 4, (3, 5))
    mask = rng.random((3, 5)) < 0.8
    per_query = loop(scores, grades, mask, margin)
    value, gradient = compiled(scores, grades, mask=mask, margin=margin)
    np.testing.assert_allclose(value, np.mean(per_query) if per_query else 0.0, rtol=1e-5, atol=1e-6)
    total, _ = compiled(scores, grades, mask=mask, margin=margin, reduction="sum")
    np.testing.assert_allclose(total, sum(per_query), rtol=1e-5, atol=1e-6)
    assert not gradient[~mask].any()


def test_satisfied_pairs_have_no_gradient_and_others_pull_apart():
    scores = np.array([[3.0, 0.0], [0.5, 0.0]], np.float32)
    value, gradient = compiled(scores, np.array([[2, 1], [2, 1]]), margin=1.0)
    assert value == pytest.approx(0.25)
    assert gradient.tolist() == [[0, 0], [-0.5, 0.5]]


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="grades has shape"):
        margin_loss(np.zeros((2, 3)), np.zeros((2, 2), int))
    with pytest.raises(UserError, match="mask has shape"):
        margin_loss(np.zeros((2, 3)), np.zeros((2, 3), int), mask=np.ones((2, 2), bool))
