"""Chunked MGCC has the loss, gradients and errors of the plain form, and its memory does not grow with the batch."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import losses_reference as reference
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.errors import UserError
from gr2_jax.losses import chunked_mgcc_loss, grade_matrix, mgcc_loss

B, N, D, J, L = 5, 13, 6, 4, 3
OPTIONS = (
    {},
    {"similarity": "dot", "constraint": "literal", "reduction": "sum", "denominator": "negatives"},
    {"bound": "grade", "denominator": "lower", "penalty": "grade", "bound_gradient": False},
)


def batch(seed, padding=0.2):
    """Documents that occur twice or are judged twice, padding, judged documents that are not in the batch."""
    rng = np.random.default_rng(seed)
    vectors = [rng.normal(size=(n, D)).astype(np.float32) for n in (B, N)]
    rows, judged = rng.integers(0, 9, N), rng.integers(0, 11, (B, J))
    rows[rng.random(N) < padding], judged[rng.random((B, J)) < padding] = -1, -1
    return *vectors, rows, judged, rng.integers(-1, L + 1, (B, J)).astype(np.int32)


@cache
def programs(option, size):
    def plain(queries, docids, temperature, *judgements):
        grades, mask = grade_matrix(*judgements)
        return mgcc_loss(
            queries, docids, grades, docid_mask=mask, temperature=temperature, num_grades=L, **OPTIONS[option]
        )

    def chunked(queries, docids, temperature, *judgements):
        options = {"temperature": temperature, "num_grades": L, "chunk_size": size, **OPTIONS[option]}
        return chunked_mgcc_loss(queries, docids, *judgements, **options)

    return tuple(jax.jit(jax.value_and_grad(f, argnums=(0, 1, 2))) for f in (plain, chunked))


@pytest.mark.parametrize(("option", "size"), [(0, 4), (0, 13), (1, 1), (1, 5), (2, 6)])
@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_value_and_gradients_equal_the_plain_form(option, size, seed):
    queries, docids, *judgements = batch(seed, padding=(seed % 3) / 3)
    plain, chunked = (f(queries, docids, 0.3, *judgements) for f in programs(option, size))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-5), chunked, plain)


def test_the_value_matches_the_float64_loop():
    queries, docids, *judgements = batch(3)
    grades, mask = grade_matrix(*judgements)
    expected = reference.mgcc(
        queries, docids, np.asarray(grades), num_grades=L, docid_mask=np.asarray(mask), temperature=0.3
    )
    assert expected > 0
    np.testing.assert_allclose(programs(0, 4)[1](queries, docids, 0.3, *judgements)[0], expected, rtol=2e-5)


def test_a_batch_of_padding_gives_0_with_zero_gradients():
    queries, docids, rows, judged, grades = batch(0)
    value, gradients = programs(0, 4)[1](queries, docids, 0.3, rows, np.full_like(judged, -1), grades)
    assert value == 0
    assert not any(np.any(g) for g in gradients)
    value, gradients = programs(0, 4)[1](queries, docids, 0.3, np.full_like(rows, -1), judged, grades)
    assert value == 0
    assert not any(np.any(g) for g in gradients)


def test_a_grade_outside_the_scale_gives_nan():
    queries, docids, rows, _, grades = batch(0, padding=0.0)
    judged = np.tile(rows[:J], (B, 1))
    assert np.isnan(programs(0, 4)[1](queries, docids, 0.3, rows, judged, np.full_like(grades, L + 1))[0])


def test_bfloat16_gradients_do_not_drift_with_the_number_of_chunks():
    rng = np.random.default_rng(0)
    queries, docids = (jnp.asarray(rng.normal(size=(n, D)), jnp.bfloat16) for n in (4, 512))
    judged = np.arange(4)[:, None]
    gradients = [
        jax.jit(jax.grad(partial(chunked_mgcc_loss, num_grades=1, chunk_size=size)))(
            queries, docids, np.arange(512), judged, np.ones_like(judged)
        )
        for size in (512, 4)
    ]
    assert gradients[1].dtype == jnp.bfloat16
    difference = np.abs(np.float32(gradients[1]) - np.float32(gradients[0])).max()
    assert difference <= 2**-7 * np.abs(np.float32(gradients[0])).max()


def test_memory_does_not_grow_with_the_batch():
    def planned(queries):
        shapes = [(queries, 64), (4 * queries, 64), (4 * queries,), (queries, 4), (queries, 4)]
        kinds = (jnp.float32, jnp.float32, jnp.int32, jnp.int32, jnp.int32)
        arguments = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in zip(shapes, kinds, strict=True)]
        loss = jax.value_and_grad(partial(chunked_mgcc_loss, num_grades=4), argnums=(0, 1))
        return jax.jit(loss).lower(*arguments).compile().memory_analysis().temp_size_in_bytes

    small, large = planned(2048), planned(16384)
    assert large < 2 * small
    assert large < 16384 * 4 * 16384 * 4 / 50


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"chunk_size": 0}, "chunk_size=0"),
        ({"docid_rows": np.arange(N - 1)}, "docid_rows has shape"),
        ({"judged_rows": np.zeros((B - 1, J), int)}, "judged_"),
        ({"similarity": "cos"}, "did you mean 'cosine'"),
    ],
)
def test_a_wrong_argument_raises_a_clear_sentence(change, sentence):
    queries, docids, rows, judged, grades = batch(0)
    arguments = {"docid_rows": rows, "judged_rows": judged, "judged_grades": grades, "num_grades": L} | change
    with pytest.raises(UserError, match=sentence):
        chunked_mgcc_loss(queries, docids, **arguments)
