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

value_and_gradients = jax.jit(
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


@cases.some
@given(batch=graded_batches(), scale=st.sampled_from([0.0, 1e3, 1e12]))
def test_edges_match_the_loop_and_are_finite(batch, scale):
    queries, docids = np.float32(scale) * batch.queries, batch.docids * (np.arange(N) > 0)[:, None]
    positives, options = batch.grades > 1, {"similarity": "dot", "reduction": "sum"}
    value, gradients = value_and_gradients(
        queries, docids, positives, docid_mask=batch.mask, temperature=0.1, max_positives=None, **options
    )
    expected = reference.supervised_contrastive(queries, docids, positives, docid_mask=batch.mask, **options)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5 + 1e-5 * scale)
    assert all(np.all(np.isfinite(g)) for g in gradients)


def test_bfloat16_inputs_are_computed_in_float32():
    rng = np.random.default_rng(1)
    half = [jnp.bfloat16(rng.normal(size=shape)) for shape in ((B, D), (N, D))]
    positives = rng.random((B, N)) < 0.5
    value, gradients = value_and_gradients(*half, positives, similarity="cosine", reduction="mean")
    assert value.dtype == jnp.float32
    assert gradients[0].dtype == jnp.bfloat16
    expected = reference.supervised_contrastive(
        *map(np.float32, half), positives, similarity="cosine", docid_mask=None, reduction="mean"
    )
    np.testing.assert_allclose(value, expected, rtol=2e-5)


def test_positives_of_another_shape_are_refused():
    with pytest.raises(UserError, match=r"has shape \(7,\)"):
        value_and_gradients(np.ones((B, D)), np.ones((N, D)), np.ones(N, bool))
