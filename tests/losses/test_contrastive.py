import math
from functools import partial

import jax
import jax.numpy as jnp
import losses_reference as reference
import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.losses import supervised_contrastive_loss

value_and_gradients = jax.jit(
    jax.value_and_grad(supervised_contrastive_loss, argnums=(0, 1)), static_argnames=("similarity", "reduction")
)


def loop(queries, docids, positives, *, docid_mask, similarity, reduction):
    per_query = []
    for query, positive in zip(queries, positives, strict=True):
        scores = {
            n: reference.similarity(query, docids[n], similarity) / 0.1 for n in range(len(docids)) if docid_mask[n]
        }
        total = sum(math.exp(s - 50) for s in scores.values())
        losses = [-(s - 50 - math.log(total)) for n, s in scores.items() if positive[n]]
        if losses:
            per_query.append(sum(losses) / len(losses))
    return reference.reduce(per_query, reduction)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("similarity", "reduction"), [("cosine", "mean"), ("dot", "sum")])
def test_value_and_gradient_match_the_float64_loop(graded_batch, similarity, reduction, seed):
    batch = graded_batch(seed)
    options = {"docid_mask": batch.mask, "similarity": similarity, "reduction": reduction}
    positives = batch.grades > 1
    value, gradients = value_and_gradients(batch.queries, batch.docids, positives, **options)
    expected = partial(loop, positives=positives, **options)
    np.testing.assert_allclose(value, expected(batch.queries, batch.docids), rtol=2e-5)
    for ours, theirs in zip(gradients, reference.numeric_gradients(expected, batch.queries, batch.docids), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


def test_no_positive_gives_zero_and_zero_gradients(graded_batch):
    batch = graded_batch(0)
    value, gradients = value_and_gradients(
        batch.queries, batch.docids, batch.grades > 9, docid_mask=batch.mask, similarity="cosine", reduction="mean"
    )
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


def test_positives_of_another_shape_are_refused(graded_batch):
    batch = graded_batch(0)
    with pytest.raises(UserError, match=r"has shape \(7,\)"):
        supervised_contrastive_loss(batch.queries, batch.docids, batch.grades[0] > 0)
