from functools import partial

import graded_cases as cases
import jax
import jax.numpy as jnp
import losses_reference as reference
import numpy as np
import pytest
from graded_cases import B, D, N, graded_batches
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax.errors import UserError
from gr2_jax.losses import supervised_contrastive_loss

value_and_gradients = cases.quick_jit(
    jax.value_and_grad(supervised_contrastive_loss, argnums=(0, 1)),
    static_argnames=("similarity", "max_positives", "reduction"),
)


@pytest.mark.parametrize(("similarity", "reduction", "max_positives"), [("cosine", "mean", None), ("dot", "sum", 4)])
@cases.some
@given(batch=graded_batches(), temperature=st.sampled_from([0.1, 0.5]), crowded=st.sampled_from([False, False, True]))
def test_value_and_gradient_match_the_float64_loop(similarity, reduction, max_positives, batch, temperature, crowded):
    if not crowded:
        batch = cases.with_few_positives(batch, max_positives)
    options = {"docid_mask": batch.mask, "similarity": similarity, "reduction": reduction}
    arguments, positives = (batch.queries, batch.docids), batch.grades > 1
    value, gradients = value_and_gradients(
        *arguments, positives, **options, temperature=temperature, max_positives=max_positives
    )
    if np.any(np.sum(positives & batch.mask, axis=1) > (max_positives or N)):
        assert np.isnan(value)
        return
    loop = partial(reference.supervised_contrastive, positives=positives, **options, temperature=temperature)
    np.testing.assert_allclose(value, loop(*arguments), rtol=2e-5, atol=2e-5)
    cases.assert_gradients(gradients, loop, *arguments)
    if not np.any(positives & batch.mask):
        assert value == 0
        assert not any(np.any(g) for g in gradients)


def test_zero_vectors_have_zero_cosine_and_zero_gradient():
    queries, docids = jnp.array([[0.0, 0.0], [1.0, 2.0]]), jnp.array([[0.0, 0.0], [1.0, 1.0], [2.0, -1.0]])
    positives = jnp.array([[True, False, False], [False, True, False]])
    _, (of_queries, of_docids) = value_and_gradients(queries, docids, positives)
    assert not np.any(of_queries[0])
    assert not np.any(of_docids[0])
    assert np.all(np.isfinite(of_queries))
    assert np.any(of_docids[1])


def test_huge_logits():
    queries, docids = 1e3 * jnp.eye(3), 1e3 * jnp.array([[1.0, 0, 0], [0, 2.0, 0], [0, 0, -1.0], [1.0, 1.0, 1.0]])
    positives = jnp.array([[True, False, False, False], [True, False, False, False], [False, False, True, False]])
    value, gradients = value_and_gradients(queries, docids, positives, similarity="dot")
    # 1e7 is a tie of two, then 2e7 below the best, then again 2e7
    np.testing.assert_allclose(value, (np.log(2) + 2e7 + 2e7) / 3, rtol=1e-6)
    assert all(np.all(np.isfinite(g)) for g in gradients)


def test_bfloat16_inputs_are_computed_in_float32():
    rng = np.random.default_rng(1)
    half = [jnp.bfloat16(rng.normal(size=shape)) for shape in ((B, D), (N, D))]
    positives = rng.random((B, N)) < 0.5
    value, gradients = value_and_gradients(*half, positives)
    assert value.dtype == jnp.float32
    assert gradients[0].dtype == jnp.bfloat16
    expected = reference.supervised_contrastive(
        *map(np.float32, half), positives, similarity="cosine", docid_mask=None, reduction="mean"
    )
    np.testing.assert_allclose(value, expected, rtol=2e-5)


def test_positives_of_another_shape_are_refused():
    with pytest.raises(UserError, match=r"has shape \(7,\)"):
        value_and_gradients(np.ones((B, D)), np.ones((N, D)), np.ones(N, bool))
