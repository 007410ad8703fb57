"""MGCC's values and gradients against the float64 loops, under every option."""

import itertools
from functools import partial

import graded_cases as cases
import jax
import jax.numpy as jnp
import losses_reference as reference
import numpy as np
import pytest
from graded_cases import OPTIONS, B, D, L, N, graded_batches
from hypothesis import given
from hypothesis import strategies as st
from objectives_reference import learnable_penalty as plain_penalty

from gr2_jax.losses import learnable_penalty, mgcc_from_scores, mgcc_loss


def test_the_option_sets_hold_every_pair_of_options():
    for (one, values), (other, others) in itertools.combinations(zip(cases.NAMES, cases.VALUES, strict=True), 2):
        missing = set(itertools.product(values, others)) - {(options[one], options[other]) for options in OPTIONS}
        assert not missing, (one, other, missing)


@pytest.mark.parametrize("options", OPTIONS, ids=cases.name)
@cases.some
@given(batch=graded_batches(), temperature=st.sampled_from([0.1, 0.5]))
def test_value_and_gradient_match_the_float64_loop(options, batch, temperature):
    value, gradients = cases.value_and_gradients(batch, options, temperature)
    expected = cases.expected_loss(batch, options, temperature)
    arguments = batch.queries, batch.docids, temperature
    np.testing.assert_allclose(value, expected(*arguments), rtol=2e-5, atol=2e-5)
    cases.assert_gradients(gradients, expected, *arguments)


SCORE_OPTIONS = [
    dict(zip(("constraint", "bound", "bound_gradient", "denominator", "max_positives"), row, strict=True))
    for row in [
        ("running_max", "pair", True, "negatives", None),
        ("running_max", "pair", True, "batch", 4),
        ("running_max", "pair", False, "lower", 4),
        ("running_max", "grade", True, "batch", None),
        ("running_max", "grade", False, "batch", None),
        ("literal", "grade", True, "lower", 4),
        ("literal", "grade", False, "negatives", 4),
    ]
]


@partial(jax.jit, static_argnums=3)
def from_scores(scores, grades, mask, options):
    loss = partial(mgcc_from_scores, num_grades=L, docid_mask=mask, **dict(options))
    return jax.value_and_grad(loss)(scores, grades)


@pytest.mark.parametrize("options", SCORE_OPTIONS, ids=cases.name)
@cases.some
@given(batch=graded_batches(), scale=st.sampled_from([1, 1e4, "ties"]), crowded=st.sampled_from([False, False, True]))
def test_from_scores_matches_the_float64_loop(options, batch, scale, crowded):
    if not crowded:
        batch = cases.with_few_positives(batch, options["max_positives"])
    scores = batch.queries @ batch.docids.T
    scores = np.round(scores) if scale == "ties" else scores * np.float32(scale)
    value, gradient = from_scores(scores, batch.grades, batch.mask, tuple(options.items()))
    plain = {name: choice for name, choice in options.items() if name != "max_positives"}
    if np.any(np.sum((batch.grades > 0) & batch.mask, axis=1) > (options["max_positives"] or N)):
        assert np.isnan(value)
        return
    loop = partial(
        reference.mgcc_from_scores,
        grades=batch.grades,
        num_grades=L,
        docid_mask=batch.mask,
        unperturbed=scores,
        **plain,
    )
    np.testing.assert_allclose(value, loop(scores), rtol=2e-5, atol=1e-2 if scale == 1e4 else 1e-6)
    assert np.all(np.isfinite(gradient))
    if scale == 1:  # ties allow several gradients, and at 1e4 the differences are too coarse
        cases.assert_gradients([gradient], loop, scores, rtol=1e-4, atol=1e-5)


def test_a_worked_example():
    # sim/τ of the one query: grade 2 at 0, grade 1 at log 2, a negative at 0. The pair losses are log 4 and log 2;
    # the constraint lifts the second to log 4.
    query, docids = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0], [np.log(2), 0.0], [0.0, 3.0]])
    loss = partial(mgcc_loss, query, docids, jnp.array([[2, 1, 0]]), num_grades=2, similarity="dot", temperature=1.0)
    cases.assert_values(
        (loss, (np.log(4) + np.log(4) / 4) / 2),
        (partial(loss, penalty="equal"), np.log(4)),
        # gains 3 and 1, whose mean is 2
        (partial(loss, constraint="off", penalty="gain"), (np.log(4) * 3 / 2 + np.log(2) / 2) / 2),
        (partial(loss, constraint="off"), (np.log(4) + np.log(2) / 4) / 2),
        # As written, the lower grade gets the larger log-probability, here its own, and grade 2 weighs 1/4.
        (partial(loss, constraint="literal", penalty="grade"), (np.log(4) / 4 + np.log(2)) / 2),
        # Neither repels the other: 1 + 1 against 1, and 2 + 1 against 2, which the constraint lifts.
        (partial(loss, denominator="negatives"), (np.log(2) + np.log(2) / 4) / 2),
        # Grade 1 repels grade 2 but not vice versa: 1 + 2 + 1 against 1, and 2 + 1 against 2.
        (partial(loss, denominator="lower", constraint="off"), (np.log(4) + np.log(1.5) / 4) / 2),
    )


def test_gains_of_a_thousand_grades_are_finite_and_of_the_grades_that_a_query_has():
    """Its best grade outweighs the others by so much that its loss is nearly all, whatever the scale's best grade."""
    scores = jnp.log(jnp.array([[1.0, 4.0, 2.0, 1.0]]))
    loss = partial(mgcc_from_scores, scores, num_grades=1000, penalty="gain", constraint="off")
    cases.assert_values(
        (partial(loss, jnp.array([[40, 1, 0, 0]])), np.log(8)),
        (partial(loss, jnp.array([[1000, 900, 0, 0]])), np.log(8)),
        (partial(loss, jnp.array([[0, 7, 0, 0]])), np.log(2)),
    )


def test_bounding_grades_differs_from_bounding_pairs():
    # Pair losses log 8 and log 2 in grade 2 (mean log 4), log 4 and log 8 in grade 1: the scores' shares are 1/loss.
    scores = jnp.log(jnp.array([[1.0, 4.0, 2.0, 1.0]]))
    loss = partial(mgcc_from_scores, scores, jnp.array([[2, 2, 1, 1]]), num_grades=2, penalty="equal")
    cases.assert_values(
        (partial(loss, bound="pair"), (np.log(4) + np.log(8)) / 2),
        (partial(loss, bound="grade"), (np.log(4) + np.log(4 * 2**0.5)) / 2),
        (partial(loss, bound="grade", constraint="literal"), np.log(4)),
    )


@jax.jit
@jax.value_and_grad
def learnable_value_and_gradient(parameters, batch):
    return mgcc_loss(*batch[:3], num_grades=L, docid_mask=batch.mask, penalty=learnable_penalty(parameters))


@cases.few
@given(batch=graded_batches(), parameters=st.tuples(*[st.floats(-3, 3, width=32)] * L))
def test_the_gradient_reaches_a_learnable_penalty(batch, parameters):
    parameters = np.array(parameters, np.float32)
    value, gradient = learnable_value_and_gradient(parameters, batch)

    def loop(parameters):
        penalty = plain_penalty(parameters)
        return reference.mgcc(*batch[:3], num_grades=L, docid_mask=batch.mask, penalty=penalty)

    np.testing.assert_allclose(value, loop(parameters), rtol=2e-5, atol=1e-6)
    cases.assert_gradients([gradient], loop, parameters, rtol=1e-4, atol=1e-5)


def test_without_a_mask_every_docid_counts_also_under_vmap():
    rng = np.random.default_rng(3)
    batches = rng.normal(size=(2, B, D)), rng.normal(size=(2, N, D)), rng.integers(0, L + 1, (2, B, N))
    together = jax.jit(jax.vmap(partial(mgcc_loss, num_grades=L)))(*batches)
    apart = [reference.mgcc(*(array[i] for array in batches), num_grades=L) for i in range(2)]
    np.testing.assert_allclose(together, apart, rtol=2e-5)
