"""MGCC on degenerate batches and invalid arguments."""

from functools import partial

import graded_cases as cases
import jax
import jax.numpy as jnp
import losses_reference as reference
import numpy as np
import pytest
from graded_cases import OPTIONS, B, D, GradedBatch, L, N, graded_batches
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax.errors import UserError
from gr2_jax.losses import mgcc_from_scores, mgcc_loss

EDGES = {
    "identical docids": lambda batch: batch._replace(docids=np.ones_like(batch.docids)),
    "identical embeddings": lambda batch: batch._replace(
        queries=np.ones_like(batch.queries), docids=np.ones_like(batch.docids)
    ),
    "zero queries": lambda batch: batch._replace(queries=0 * batch.queries),
    "zero embeddings": lambda batch: batch._replace(queries=0 * batch.queries, docids=0 * batch.docids),
    "one docid zero": lambda batch: batch._replace(docids=batch.docids * (np.arange(N) > 0)[:, None]),
    "all of the best grade": lambda batch: batch._replace(grades=np.full_like(batch.grades, L)),
    "all of the lowest grade": lambda batch: batch._replace(grades=np.ones_like(batch.grades)),
    "one positive": lambda batch: batch._replace(grades=2 * (np.arange(B * N) == 9).reshape(B, N).astype(np.int32)),
    "no positive": lambda batch: batch._replace(grades=np.zeros_like(batch.grades)),
    "all masked": lambda batch: batch._replace(mask=np.zeros_like(batch.mask)),
    "one docid": lambda batch: batch._replace(mask=np.arange(N) == 2),
    "huge logits": lambda batch: batch._replace(queries=30 * batch.queries, docids=30 * batch.docids),
    "enormous logits": lambda batch: batch._replace(queries=1e12 * batch.queries, docids=1e12 * batch.docids),
}


@pytest.mark.parametrize("options", OPTIONS, ids=cases.name)
@cases.some
@given(batch=graded_batches(), edge=st.sampled_from(sorted(EDGES)))
def test_edges_have_the_loss_of_the_float64_loop_and_finite_gradients(options, batch, edge):
    batch = EDGES[edge](batch)
    huge = edge in ("huge logits", "enormous logits")
    temperature = 1e-4 if huge and options["similarity"] == "cosine" else 0.1
    value, gradients = cases.value_and_gradients(batch, options, temperature)
    expected = cases.expected_loss(batch, options, temperature)(batch.queries, batch.docids, temperature)
    # float32 keeps a logit of 1e4 to 1e-3
    logits = reference.scaled_similarities(*batch[:2], temperature=temperature, kind=options["similarity"])
    atol = 1e-6 * np.max(np.abs(logits)) if huge else 1e-6
    np.testing.assert_allclose(value, expected, rtol=2e-5, atol=atol)
    assert all(np.all(np.isfinite(g)) for g in gradients)
    if edge in ("no positive", "all masked"):
        assert value == 0
        assert not any(np.any(g) for g in gradients)
    if options["similarity"] == "cosine":  # a vector without a direction
        assert not (edge in ("zero embeddings", "zero queries") and np.any(gradients[0]))
        assert not (edge in ("zero embeddings", "one docid zero") and np.any(gradients[1][0]))


def test_bfloat16_inputs_are_computed_in_float32():
    rng = np.random.default_rng(4)
    batch = GradedBatch(
        queries=jnp.bfloat16(rng.normal(size=(B, D))),
        docids=jnp.bfloat16(rng.normal(size=(N, D))),
        grades=rng.integers(0, L + 1, (B, N)),
        mask=rng.random(N) < 0.8,
    )
    value, gradients = cases.value_and_gradients(batch, OPTIONS[0])
    assert value.dtype == jnp.float32
    assert gradients[0].dtype == gradients[1].dtype == jnp.bfloat16
    rounded = batch._replace(queries=np.float32(batch.queries), docids=np.float32(batch.docids))
    expected = cases.expected_loss(rounded, OPTIONS[0])
    arguments = rounded.queries, rounded.docids, 0.1
    np.testing.assert_allclose(value, expected(*arguments), rtol=2e-5)
    in_float32 = [np.float32(g) for g in gradients]
    cases.assert_gradients(in_float32, expected, *arguments, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("options", cases.SUMS, ids=cases.name)
@cases.few
@given(batch=graded_batches(queries=1))
def test_one_query_alone(options, batch):
    value, gradients = cases.value_and_gradients(batch, options)
    expected = cases.expected_loss(batch, options)
    arguments = batch.queries, batch.docids, 0.1
    np.testing.assert_allclose(value, expected(*arguments), rtol=2e-5, atol=2e-5)
    cases.assert_gradients(gradients, expected, *arguments)


def test_a_masked_docid_may_hold_anything():
    rng = np.random.default_rng(6)
    queries, docids = rng.normal(size=(B, D)).astype(np.float32), rng.normal(size=(N, D)).astype(np.float32)
    grades, mask = rng.integers(0, L + 1, (B, N)), np.arange(N) != 2
    expected = reference.mgcc(queries, docids, grades, num_grades=L, docid_mask=mask)
    docids[2], grades[:, 2] = 1e15, L
    batch = GradedBatch(queries, docids, grades, mask)
    value, gradients = cases.value_and_gradients(batch, OPTIONS[0])
    np.testing.assert_allclose(value, expected, rtol=2e-5)
    assert not np.any(gradients[1][2])


@pytest.mark.parametrize("options", [OPTIONS[0], OPTIONS[4], OPTIONS[11]], ids=cases.name)
@cases.few
@given(batch=graded_batches(), q=st.integers(0, B - 1), n=st.integers(0, N - 1), above=st.integers(1, 9))
def test_a_grade_outside_the_scale_gives_nan_unless_masked(options, batch, q, n, above):
    grades = batch.grades.copy()
    grades[q, n] = L + above
    value, _ = cases.value_and_gradients(batch._replace(grades=grades), options)
    assert np.isnan(value) == batch.mask[n]


def test_a_grade_outside_the_scale_gives_nan_among_few_positives():
    grades = np.array([[2, 0, 0, 1, 0], [1, 0, 0, 0, 0]])
    loss = jax.jit(lambda grades: mgcc_from_scores(np.ones((2, 5)), grades, num_grades=2, max_positives=2))
    assert np.isfinite(loss(grades))
    assert np.isnan(loss(grades + (grades == 2)))


ZEROS = np.zeros((B, N), np.int32)


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"penalty": "ranks"}, "did you mean 'rank'"),
        ({"penalty": jnp.ones(2)}, r"penalty has shape \(2,\), but the other arguments need \(3,\)"),
        ({"constraint": "runing_max"}, "did you mean 'running_max'"),
        ({"bound": "pairs"}, "did you mean 'pair'"),
        ({"denominator": "negative"}, "did you mean 'negatives'"),
        ({"similarity": "cos"}, "did you mean 'cosine'"),
        ({"reduction": "none"}, "reduction='none' is not known"),
        ({"docid_mask": jnp.ones(3, bool)}, r"docid_mask has shape \(3,\)"),
        ({"num_grades": 0}, "num_grades=0"),
        ({"grades": ZEROS[0]}, r"need \(3, 7\)"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_a_wrong_argument_raises_a_clear_sentence(keywords, sentence):
    loss = partial(mgcc_loss, **({"grades": ZEROS, "num_grades": L} | keywords))
    with pytest.raises(UserError, match=sentence):
        jax.eval_shape(loss, np.ones((B, D)), np.ones((N, D)))
