from functools import partial

import graded_cases as cases
import jax
import jax.numpy as jnp
import numpy as np
import objectives_reference as reference
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax.errors import UserError
from gr2_jax.losses import learnable_penalty, mgcc_loss, penalty_parameters, penalty_prior

L = 4
vectors = partial(st.lists, min_size=L, max_size=L)


@jax.jit
@partial(jax.vmap, in_axes=(None, 0))
def penalty_and_jacobian(parameters, of_grade):
    """λ, and the gradient of one of its entries."""
    return jax.value_and_grad(lambda parameters: learnable_penalty(parameters) @ of_grade)(parameters)


@cases.some
@given(parameters=vectors(st.floats(-8, 8, width=32)))
def test_learnable_penalty_matches_the_float64_loop(parameters):
    penalty, jacobian = penalty_and_jacobian(np.array(parameters, np.float32), np.eye(L, dtype=np.float32))
    np.testing.assert_allclose(penalty, reference.learnable_penalty(parameters), rtol=1e-5)
    for l in range(L):
        cases.assert_gradients([jacobian[l]], lambda x, l=l: reference.learnable_penalty(x)[l], parameters)


@cases.some
@given(parameters=vectors(st.floats(-40, 1000, width=32)))
def test_learnable_penalty_is_positive_ordered_and_one_for_the_best_grade(parameters):
    penalty, jacobian = penalty_and_jacobian(np.array(parameters, np.float32), np.eye(L, dtype=np.float32))
    assert np.all(penalty > 0)
    assert np.all(np.diff(penalty) >= 0)
    np.testing.assert_allclose(penalty[-1], 1, rtol=2e-7)
    assert np.all(np.isfinite(jacobian))


@cases.some
@given(steps=vectors(st.floats(1e-3, 10)))
def test_penalty_parameters_reproduce_the_penalty(steps):
    given = np.cumsum(np.array(steps, np.float32))
    start = learnable_penalty(penalty_parameters(given, L))
    np.testing.assert_allclose(start, given / given[-1], rtol=1e-4)


@pytest.mark.parametrize("num_grades", [1, 2, 5])
def test_penalty_parameters_reproduce_the_penalty_by_rank(num_grades):
    start = learnable_penalty(penalty_parameters("rank", num_grades))
    np.testing.assert_allclose(start, 1 / np.arange(num_grades, 0, -1) ** 2.0, rtol=1e-5)


@pytest.mark.parametrize("penalty", ["grade", "equal", [1.0, 3.0, 2.0, 4.0], [0.0, 1.0, 2.0, 3.0]])
def test_a_penalty_that_does_not_increase_from_above_zero_has_no_parameters(penalty):
    with pytest.raises(UserError, match="does not increase with the grade"):
        penalty_parameters(penalty, L)
    traced = jax.jit(lambda: penalty_parameters(penalty, L))()
    assert np.any(np.isnan(traced))


@pytest.mark.parametrize(
    ("penalty", "num_grades", "sentence"),
    [
        ("ranks", L, "did you mean 'rank'"),
        (jnp.ones(2), L, r"penalty has shape \(2,\), but the other arguments need \(4,\)"),
        ("rank", 0, "num_grades=0"),
    ],
)
def test_a_wrong_argument_raises_a_clear_sentence(penalty, num_grades, sentence):
    with pytest.raises(UserError, match=sentence):
        penalty_parameters(penalty, num_grades)


@cases.some
@given(penalty=vectors(st.floats(1e-3, 10)))
def test_the_prior_matches_the_float64_loop(penalty):
    value, gradient = jax.value_and_grad(penalty_prior)(np.array(penalty, np.float32))
    np.testing.assert_allclose(value, reference.penalty_prior(penalty), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, -1 / (L * np.array(penalty)), rtol=1e-5)
    assert penalty_prior(jnp.ones(L)) == 0


@cases.some
@given(losses=vectors(st.floats(0.01, 100)), others=vectors(st.floats(0.1, 10)))
def test_with_the_prior_the_best_weight_is_one_over_the_loss(losses, others):
    losses = np.array(losses, np.float32)

    @jax.value_and_grad
    def weighted(penalties):
        return jnp.mean(penalties * losses) + penalty_prior(penalties)

    least, gradient = weighted(1 / losses)
    np.testing.assert_allclose(gradient / losses, 0, atol=1e-6)
    assert weighted(np.array(others, np.float32) / losses)[0] >= least - 1e-5


def test_training_the_penalty_keeps_it_ordered_and_away_from_zero():
    # The loss alone takes the weights of the lower grades towards 0; the prior takes them to 1 over their losses.
    num_grades, rng = 3, np.random.default_rng(0)
    queries, docids, grades = (
        rng.normal(size=(4, 8)),
        rng.normal(size=(12, 8)),
        rng.integers(0, num_grades + 1, (4, 12)),
    )
    optimiser = optax.adam(0.3)

    @jax.jit
    def step(parameters, state, prior):
        def objective(parameters):
            penalty = learnable_penalty(parameters)
            loss = mgcc_loss(queries, docids, grades, num_grades=num_grades, temperature=0.5, penalty=penalty)
            return loss + prior * penalty_prior(penalty)

        updates, state = optimiser.update(jax.grad(objective)(parameters), state)
        return optax.apply_updates(parameters, updates), state

    def train(prior):
        parameters = penalty_parameters("rank", num_grades)
        state = optimiser.init(parameters)
        for _ in range(60):
            parameters, state = step(parameters, state, prior)
            penalty = learnable_penalty(parameters)
            assert np.all(np.diff(penalty) >= 0)
            np.testing.assert_allclose(penalty[-1], 1, rtol=2e-7)
        return penalty

    with_prior, without = train(1.0), train(0.0)
    assert with_prior[0] > 0.2
    assert without[0] < 0.02
