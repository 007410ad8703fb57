"""Scales with more grades than are written out one by one: the float64 loops' values, and a program no longer."""

from functools import partial

import graded_cases as cases
import jax
import jax.numpy as jnp
import losses_reference as reference
import numpy as np
import objectives_reference
import pytest
from graded_cases import graded_batches
from hypothesis import given

from gr2_jax.losses import exponential_gains, lambdarank_loss, mgcc_from_scores, mgcc_parts, query_likelihood_loss

MANY = 20
NAMES = ("constraint", "bound", "denominator")
CHOICES = [
    dict(zip(NAMES, row, strict=True))
    for row in [("running_max", "pair", "batch"), ("literal", "pair", "lower"), ("running_max", "grade", "negatives")]
]


@partial(jax.jit, static_argnums=(3, 4))
def from_scores(scores, grades, mask, num_grades, options):
    loss = partial(mgcc_from_scores, num_grades=num_grades, docid_mask=mask, **dict(options))
    return jax.value_and_grad(loss)(scores, grades)


@pytest.mark.parametrize("options", CHOICES, ids=cases.name)
@cases.some
@given(batch=graded_batches(num_grades=MANY))
def test_value_and_gradient_match_the_float64_loop(options, batch):
    scores = batch.queries @ batch.docids.T
    value, gradient = from_scores(scores, batch.grades, batch.mask, MANY, tuple(options.items()))
    loop = partial(reference.mgcc_from_scores, grades=batch.grades, num_grades=MANY, docid_mask=batch.mask, **options)
    np.testing.assert_allclose(value, loop(scores), rtol=2e-5, atol=1e-6)
    cases.assert_gradients([gradient], loop, scores, rtol=1e-4, atol=1e-5)


likelihood = jax.jit(partial(query_likelihood_loss, num_grades=MANY))
parts = jax.jit(lambda batch: mgcc_parts(batch.queries, batch.docids, batch.grades, num_grades=MANY))


@cases.few
@given(batch=graded_batches(num_grades=MANY))
def test_the_likelihood_and_the_shares_of_the_log(batch):
    scores = batch.queries @ batch.docids.T
    plain = objectives_reference.query_likelihood(scores, batch.grades, MANY, "mean")
    np.testing.assert_allclose(likelihood(scores, batch.grades), plain, rtol=1e-5, atol=1e-6)
    found = parts(batch)
    pairs = [(g, h) for row in batch.grades for g in row for h in row if g > h > 0]
    assert found.ordered_pairs == len(pairs)
    np.testing.assert_array_equal(
        found.grade_queries, [np.sum(np.any(batch.grades == l, axis=1)) for l in range(1, MANY + 1)]
    )


def lines(num_grades, options):
    shapes = (jnp.zeros((4, 8)), jnp.zeros((4, 8), int), jnp.ones(8, bool))
    return from_scores.lower(*shapes, num_grades, tuple(options.items())).as_text().count("\n")


@pytest.mark.parametrize("options", CHOICES, ids=cases.name)
def test_ten_times_the_grades_are_no_longer_program(options):
    # only the running maximum over the grades grows, with the logarithm of their number
    assert lines(320, options) < 1.6 * lines(32, options)


def test_no_array_has_an_entry_for_each_docid_and_grade():
    queries, docids, num_grades = 16, 256, 400
    shapes = (jnp.zeros((queries, docids)), jnp.zeros((queries, docids), int), jnp.ones(docids, bool))
    compiled = from_scores.lower(*shapes, num_grades, tuple(CHOICES[0].items())).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < queries * docids * num_grades  # as bytes, not as floats


def test_gains_of_grades_beyond_float32_keep_their_shares():
    gains = exponential_gains(np.array([[0, 1, 2, 4], [0, 300, 299, 290], [0, 24, 1, 0]]))
    np.testing.assert_array_equal(gains[0], [0, 1, 3, 15])
    np.testing.assert_allclose(gains[1] / gains[1, 1], [0, 1, 0.5, 2**-10], rtol=1e-6)
    np.testing.assert_array_equal(gains[2], [0, 2**24 - 1, 1, 0])
    scores = np.zeros((1, 4), np.float32)
    high, low = (lambdarank_loss(scores, np.array([[0, top, top - 1, 0]])) for top in (900, 40))
    np.testing.assert_allclose(high, low, rtol=1e-6)
