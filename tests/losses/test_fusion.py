from functools import partial

import graded_cases as cases
import jax
import jax.numpy as jnp
import numpy as np
import objectives_reference as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax.errors import UserError
from gr2_jax.losses import distinctness_loss, relevance_loss

P, D = 5, 3
PAIRS = [(relevance_loss, reference.relevance), (distinctness_loss, reference.distinctness)]
jitted = {f: jax.jit(f) for f, _ in PAIRS}
with_gradients = {f: jax.jit(jax.value_and_grad(f, argnums=(0, 1))) for f, _ in PAIRS}
rows = st.lists(st.integers(0, P - 1), min_size=P, max_size=P)


def random_reps(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(P, D)).astype(np.float32), rng.normal(size=(P, D)).astype(np.float32)


@pytest.fixture(params=range(3))
def reps(request):
    return random_reps(request.param)


@pytest.mark.parametrize(("ours", "loop"), PAIRS, ids=["relevance", "distinctness"])
@cases.some
@given(seed=st.integers(0, 10**6), query_ids=rows, document_ids=rows)
def test_value_and_gradient_match_the_float64_loop(ours, loop, seed, query_ids, document_ids):
    reps = random_reps(seed)
    expected = partial(loop, query_ids=query_ids, document_ids=document_ids)
    value, gradients = with_gradients[ours](*reps, query_ids=np.array(query_ids), document_ids=np.array(document_ids))
    np.testing.assert_allclose(value, expected(*reps), rtol=1e-5, atol=1e-6)
    cases.assert_gradients(gradients, expected, *reps, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("ours", "loop"), PAIRS, ids=["relevance", "distinctness"])
def test_rows_without_ids_are_different_queries_and_documents(reps, ours, loop):
    value, gradients = with_gradients[ours](*reps)
    expected = partial(loop, query_ids=range(P), document_ids=range(P))
    np.testing.assert_allclose(value, expected(*reps), rtol=1e-5, atol=1e-6)
    cases.assert_gradients(gradients, expected, *reps, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("ours", "loop", "setting"),
    [
        (relevance_loss, reference.relevance, {"temperature": 0.3}),
        (distinctness_loss, reference.distinctness, {"margin": 0.5}),
        (distinctness_loss, reference.distinctness, {"margin": -0.2}),
    ],
)
def test_temperature_and_margin_match_the_float64_loop(reps, ours, loop, setting):
    value, gradients = jax.value_and_grad(partial(ours, **setting), argnums=(0, 1))(*reps)
    expected = partial(loop, query_ids=range(P), document_ids=range(P), **setting)
    np.testing.assert_allclose(value, expected(*reps), rtol=1e-5, atol=1e-6)
    cases.assert_gradients(gradients, expected, *reps, rtol=1e-4, atol=1e-5)


def test_below_the_margin_nothing_is_pushed_apart():
    apart = jnp.eye(D)  # similarities of 0
    assert distinctness_loss(apart, apart, margin=0.1) == -1
    assert distinctness_loss(apart, apart) == -1
    assert distinctness_loss(apart, apart, margin=-0.5) == 0


def test_a_query_paired_elsewhere_with_the_same_document_is_no_negative():
    # Query 8 belongs to document 1 by row 1; its second row, with document 2, is no negative of row 0 either.
    documents, queries = jnp.ones((3, D)), jnp.array([[1.0] * D, [5.0] * D, [5.0] * D])
    loss = jitted[relevance_loss](documents, queries, query_ids=jnp.array([7, 8, 8]), document_ids=jnp.array([1, 1, 2]))
    other = 1 / (1 + np.exp(-12.0))  # row 2 has query 7 alone as its negative
    np.testing.assert_allclose(loss, -(1 + 1 + other) / 3, rtol=1e-6)


@pytest.mark.parametrize("ours", [relevance_loss, distinctness_loss])
def test_the_order_of_pairs_changes_nothing(reps, ours):
    order = np.array([3, 0, 4, 1, 2])
    loss = jitted[ours]
    np.testing.assert_allclose(loss(*(r[order] for r in reps)), loss(*reps), rtol=1e-5, atol=1e-6)


def test_huge_dot_products_saturate_and_stay_finite(reps):
    documents, queries = (1e12 * r for r in reps)
    value, gradients = with_gradients[relevance_loss](documents, queries)
    nearest = np.argmax(documents @ queries.T, axis=1)
    np.testing.assert_allclose(value, -np.mean(nearest == np.arange(P)))
    assert all(np.all(np.isfinite(g)) for g in gradients)


def test_one_pair_or_one_document_leaves_no_negatives():
    relevance, distinctness = jitted[relevance_loss], jitted[distinctness_loss]
    one = jnp.array([[1.0, 2.0]])
    assert relevance(one, one) == -1
    assert distinctness(one, one) == -5
    same, ids = jnp.tile(one, (4, 1)), jnp.zeros(4, int)
    assert relevance(same, same) == -0.25
    assert relevance(same, same, query_ids=ids) == -1
    assert distinctness(same, same) == 5
    assert distinctness(same, same, query_ids=ids, document_ids=ids) == -5


@pytest.mark.parametrize("ours", [relevance_loss, distinctness_loss])
def test_bfloat16_inputs_are_computed_in_float32(reps, ours):
    half = [jnp.bfloat16(r) for r in reps]
    value = jitted[ours](*half)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, jitted[ours](*(np.float32(h) for h in half)), rtol=1e-6)


@pytest.mark.parametrize("ours", [relevance_loss, distinctness_loss])
def test_wrong_shapes_are_refused(reps, ours):
    with pytest.raises(UserError, match="query_reps has shape"):
        ours(reps[0], reps[1][1:])
    with pytest.raises(UserError, match="query_ids has shape"):
        ours(*reps, query_ids=jnp.arange(2))
