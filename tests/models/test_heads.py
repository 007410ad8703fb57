"""The pooling heads against plain float64 loops."""

import jax
import jax.numpy as jnp
import numpy as np

from gr2_jax.models.heads import AttentionPooling, ProjectionHead

RNG = np.random.default_rng(0)
STATES = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
MASK = np.array([[[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], [[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]], bool)
KERNEL, BIAS = RNG.normal(size=(5, 6)).astype(np.float32), RNG.normal(size=6).astype(np.float32)
HEAD = {"params": {"projection": {"kernel": jnp.asarray(KERNEL), "bias": jnp.asarray(BIAS)}}}


def _equations_5_to_7(states, mask):
    """f = (1 / number of real tokens) sum_t ReLU(W v_t + b), one sequence."""
    total, count = np.zeros(6), 0
    for v, real in zip(states.astype(np.float64), mask, strict=True):
        if real:
            total += np.maximum(KERNEL.astype(np.float64).T @ v + BIAS, 0)
            count += 1
    return total / count


def test_projection_head_is_the_papers_mean_of_relus():
    found = ProjectionHead(6).apply(HEAD, STATES, MASK)
    assert found.shape == (2, 3, 6)
    for b in range(2):
        for k in range(3):
            np.testing.assert_allclose(found[b, k], _equations_5_to_7(STATES[b, k], MASK[b, k]), rtol=1e-5, atol=1e-6)


def test_projection_head_ignores_padding():
    other = np.where(MASK[..., None], STATES, 1e3).astype(np.float32)
    head = ProjectionHead(6)
    np.testing.assert_array_equal(head.apply(HEAD, other, MASK), head.apply(HEAD, STATES, MASK))


def test_projection_head_of_nothing_is_zero():
    assert not np.any(ProjectionHead(6).apply(HEAD, STATES, np.zeros_like(MASK)))


def test_projection_head_takes_bfloat16_states():
    found = ProjectionHead(6).apply(HEAD, jnp.asarray(STATES, jnp.bfloat16), MASK)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, ProjectionHead(6).apply(HEAD, STATES, MASK), atol=0.05)


def test_attention_pooling_is_a_softmax_weighted_mean():
    direction = RNG.normal(size=5).astype(np.float32)
    found = AttentionPooling().apply({"params": {"direction": jnp.asarray(direction)}}, STATES[0], MASK[0])
    for b in range(3):
        real = STATES[0, b][MASK[0, b]].astype(np.float64)
        weights = np.exp(real @ direction)
        np.testing.assert_allclose(found[b], weights @ real / weights.sum(), rtol=1e-5, atol=1e-6)


def test_attention_pooling_starts_as_the_mean():
    pooling = AttentionPooling()
    params = pooling.init(jax.random.key(0), STATES[0], MASK[0])
    expected = np.stack([s[m].mean(0) for s, m in zip(STATES[0], MASK[0], strict=True)])
    np.testing.assert_allclose(pooling.apply(params, STATES[0], MASK[0]), expected, rtol=1e-5, atol=1e-6)
