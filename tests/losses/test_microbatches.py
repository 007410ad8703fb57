"""A batch computed in parts has the loss and gradients of the whole batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.losses import mgcc_loss
from gr2_jax.losses.microbatches import in_microbatches

B, K, D = 8, 2, 16


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    weights = jnp.asarray(rng.normal(size=(D, D)) / 4, jnp.float32)
    batch = {"queries": rng.normal(size=(B, D)), "docids": rng.normal(size=(B, K, D))}
    grades = jnp.asarray(rng.integers(0, 4, (B, B * K)))
    return weights, jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), batch), grades


def graded_loss(weights, batch, grades, count, layers=1):
    def embed(part, rng):
        def encode(x):
            for _ in range(layers):
                x = jnp.tanh(x @ weights)
            return x

        return jax.tree.map(encode, part)

    embedded = in_microbatches(embed, batch, jax.random.key(0), count=count)
    return mgcc_loss(embedded["queries"], embedded["docids"].reshape(-1, D), grades, num_grades=3)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_value_and_gradient_equal_the_whole_batch(problem, count):
    """The docids of the other parts are negatives: a mean over parts would be another loss."""
    weights, batch, grades = problem
    graded = jax.value_and_grad(graded_loss)
    whole, gradient = graded(weights, batch, grades, 1)
    value, again = graded(weights, batch, grades, count)
    np.testing.assert_allclose(value, whole, rtol=1e-6)
    np.testing.assert_allclose(again, gradient, rtol=1e-5, atol=1e-6)
    halves = []
    for own, docids in ((slice(0, 4), slice(0, 8)), (slice(4, 8), slice(8, 16))):
        half = {name: x[own] for name, x in batch.items()}
        halves.append(graded_loss(weights, half, grades[own, docids], 1))
    assert abs(np.mean(halves) - whole) > 0.01


def test_rows_come_back_in_their_order(problem):
    _, batch, _ = problem
    again = in_microbatches(lambda part, rng: part, batch, jax.random.key(0), count=4)
    jax.tree.map(np.testing.assert_array_equal, again, batch)


def test_every_part_draws_its_own_random_numbers():
    rows = jnp.zeros((8, 3))
    drawn = in_microbatches(lambda x, rng: jax.random.normal(rng, x.shape), rows, jax.random.key(0), count=4)
    assert len(np.unique(drawn)) == drawn.size


def test_memory_holds_one_part(problem):
    """The backward pass keeps the activations of eight layers for 4,096 rows, or for an eighth of the rows."""
    weights, grades = problem[0], jax.ShapeDtypeStruct((4096, 4096), jnp.int32)
    batch = {n: jax.ShapeDtypeStruct(s, jnp.float32) for n, s in {"queries": (4096, D), "docids": (4096, 1, D)}.items()}

    def needed(count):
        def norm(weights, batch, grades):  # without the [B,N] loss, which is not divided
            embedded = in_microbatches(
                lambda x, _: jax.tree.map(lambda x: deep(weights, x), x), batch, jax.random.key(0), count=count
            )
            return sum(jnp.sum(jnp.square(x)) for x in jax.tree.leaves(embedded))

        def deep(weights, x):
            for _ in range(8):
                x = jnp.tanh(x @ weights)
            return x

        return jax.jit(jax.grad(norm)).lower(weights, batch, grades).compile().memory_analysis().temp_size_in_bytes

    assert needed(8) < needed(1) / 2


@pytest.mark.parametrize("count", [3, 16])
def test_parts_of_unequal_size_are_refused(problem, count):
    with pytest.raises(UserError, match=f"8 rows of a batch cannot be divided into {count} microbatches"):
        graded_loss(*problem, count)
