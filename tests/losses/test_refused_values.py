"""What would make a loss NaN is refused where its value can be read, and traced where it cannot."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.losses import (
    chunked_mgcc_loss,
    grade_matrix,
    graded_cross_entropy_loss,
    graded_likelihood_loss,
    indexing_loss,
    label_smoothed_nll,
    lambdarank_loss,
    margin_loss,
    mgcc_from_scores,
    mgcc_loss,
    mgcc_parts,
    query_likelihood_loss,
    relevance_loss,
    scaled_similarities,
    self_negative_loss,
    supervised_contrastive_loss,
)

B, N, D, L = 2, 5, 4, 3
RNG = np.random.default_rng(0)
QUERIES, DOCIDS = (RNG.normal(size=(rows, D)).astype(np.float32) for rows in (B, N))
GRADES = np.array([[3, 1, 0, 0, 2], [0, 0, 1, 0, 0]], np.int32)
ROWS, JUDGED = np.arange(N), np.tile(np.arange(N), (B, 1))
SCORES = RNG.normal(size=(B, N)).astype(np.float32)

as_jax = pytest.mark.parametrize("array", [np.asarray, jnp.asarray], ids=["NumPy", "JAX"])


def of_scale(name):
    """Each loss that has a scale of grades, as a function of the grades and num_grades."""
    return {
        "mgcc": lambda grades, n: mgcc_loss(QUERIES, DOCIDS, grades, num_grades=n),
        "parts": lambda grades, n: mgcc_parts(QUERIES, DOCIDS, grades, num_grades=n).loss,
        "scores": lambda grades, n: mgcc_from_scores(SCORES, grades, num_grades=n),
        "chunked": lambda grades, n: chunked_mgcc_loss(QUERIES, DOCIDS, ROWS, JUDGED, grades, num_grades=n),
        "likelihood": lambda grades, n: query_likelihood_loss(SCORES, grades, num_grades=n),
        "self-negatives": lambda grades, n: self_negative_loss(
            SCORES, grades, SCORES, np.ones((B, N), bool), num_grades=n
        ),
    }[name]


scales = pytest.mark.parametrize("name", ["mgcc", "parts", "scores", "chunked", "likelihood", "self-negatives"])


@scales
@as_jax
def test_a_grade_above_the_scale_is_refused_where_it_is_known(name, array):
    loss = of_scale(name)
    assert np.isfinite(loss(array(GRADES), L))
    with pytest.raises(UserError, match="a grade is 3 and num_grades=2: it must be at least the highest grade"):
        loss(array(GRADES), L - 1)


@scales
def test_under_jit_the_same_grades_are_traced(name):
    loss = of_scale(name)
    assert np.isnan(jax.jit(partial(loss, n=L - 1))(GRADES))
    assert np.isfinite(jax.jit(partial(loss, n=L))(GRADES))


def test_grades_that_a_jitted_function_closes_over_are_known_while_it_is_traced():
    known = jax.jit(lambda queries: mgcc_loss(queries, DOCIDS, jnp.asarray(GRADES), num_grades=2))
    with pytest.raises(UserError, match="num_grades=2"):
        jax.jit(lambda queries: mgcc_loss(queries, DOCIDS, GRADES, num_grades=2))(QUERIES)
    assert np.isnan(known(QUERIES))  # made within: traced


def test_masked_docids_have_any_grade_and_a_traced_mask_hides_which_they_are():
    mask = np.arange(N) > 0
    grades = GRADES + 9 * ~mask
    loss = partial(mgcc_loss, QUERIES, DOCIDS, grades, num_grades=L)
    assert np.isfinite(loss(docid_mask=mask))
    assert np.isfinite(jax.jit(lambda mask: loss(docid_mask=mask))(mask))
    with pytest.raises(UserError, match="a grade is 12"):
        loss()


def test_gradients_and_batches_are_traced_and_grades_beside_them_are_known():
    loss = partial(mgcc_loss, num_grades=L)
    assert np.isfinite(jax.grad(loss)(QUERIES, DOCIDS, GRADES)).all()
    assert jax.vmap(loss, (None, None, 0))(QUERIES, DOCIDS, np.stack([GRADES, GRADES])).shape == (2,)
    with pytest.raises(UserError, match="num_grades=1"):
        jax.grad(partial(mgcc_loss, num_grades=1))(QUERIES, DOCIDS, GRADES)


def test_more_positives_than_were_promised():
    loss = partial(mgcc_loss, QUERIES, DOCIDS, num_grades=L)
    assert np.isfinite(loss(GRADES, max_positives=3))
    with pytest.raises(UserError, match="a query has 3 relevant docids and max_positives=2: give at least 3"):
        loss(GRADES, max_positives=2)
    assert np.isnan(jax.jit(partial(loss, max_positives=2))(GRADES))


@pytest.mark.parametrize("temperature", [0, 0.0, -0.1, float("nan"), float("inf"), np.float32(0), np.ones(2)])
@as_jax
def test_a_temperature_that_is_not_above_0(temperature, array):
    refused = partial(pytest.raises, UserError, match=r"temperature=.* must be a number above 0")
    for loss in (
        partial(scaled_similarities, QUERIES, DOCIDS),
        partial(mgcc_loss, QUERIES, DOCIDS, GRADES, num_grades=L),
        partial(supervised_contrastive_loss, QUERIES, DOCIDS, GRADES > 0),
        partial(chunked_mgcc_loss, QUERIES, DOCIDS, ROWS, JUDGED, GRADES, num_grades=L),
        partial(relevance_loss, QUERIES, QUERIES),
    ):
        with refused():
            loss(temperature=temperature)
        with refused():
            loss(temperature=array(temperature))
        with refused():
            jax.jit(lambda loss=loss: loss(temperature=temperature))()


def test_a_traced_temperature_is_learnt():
    slope = jax.grad(lambda t: mgcc_loss(QUERIES, DOCIDS, GRADES, num_grades=L, temperature=t))(0.1)
    assert np.isfinite(slope)


def test_num_grades_is_a_whole_number_that_is_not_traced():
    with pytest.raises(UserError, match=r"num_grades=3\.0 must be a whole number"):
        mgcc_loss(QUERIES, DOCIDS, GRADES, num_grades=3.0)
    with pytest.raises(UserError, match="num_grades is traced: it must be an int, named in static_argnames"):
        jax.jit(mgcc_loss)(QUERIES, DOCIDS, GRADES, num_grades=3)
    with pytest.raises(UserError, match="num_grades=0 leaves no relevant grade"):
        mgcc_loss(QUERIES, DOCIDS, GRADES, num_grades=0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((QUERIES[:, :3], DOCIDS, GRADES), "query_embeddings are vectors of 3 and docid_embeddings of 4"),
        ((QUERIES[0], DOCIDS, GRADES), r"query_embeddings has shape \(4,\): it must be a matrix"),
        ((QUERIES, DOCIDS[None], GRADES), r"docid_embeddings has shape \(1, 5, 4\): it must be a matrix"),
        ((QUERIES, DOCIDS, GRADES[:, :4]), r"has shape \(2, 4\), but the other arguments need \(2, 5\)"),
        ((QUERIES, DOCIDS[:4], GRADES), r"has shape \(2, 5\), but the other arguments need \(2, 4\)"),
        ((QUERIES.tolist(), DOCIDS, GRADES), "query_embeddings is a list: give an array"),
        ((QUERIES, DOCIDS.tolist(), GRADES), "docid_embeddings is a list: give an array"),
        ((QUERIES, DOCIDS, GRADES.tolist()), "judgements is a list: give an array"),
    ],
)
@pytest.mark.parametrize("loss", [mgcc_loss, mgcc_parts])
def test_shapes_and_lists(loss, arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        loss(*arguments, num_grades=L)


@pytest.mark.parametrize(
    ("loss", "arguments", "name"),
    [
        (supervised_contrastive_loss, (QUERIES, DOCIDS, (GRADES > 0).tolist()), "positives"),
        (graded_cross_entropy_loss, (SCORES.tolist(), GRADES), "scores"),
        (lambdarank_loss, (SCORES, GRADES.tolist()), "judgements"),
        (margin_loss, (SCORES.tolist(), GRADES), "scores"),
        (graded_likelihood_loss, (SCORES.tolist(), GRADES), "sequence_nll"),
        (partial(query_likelihood_loss, num_grades=L), (SCORES, GRADES.tolist()), "grades"),
        (indexing_loss, ([1.0, 2.0],), "sequence_nll"),
        (partial(label_smoothed_nll, weights=np.ones(B)), (SCORES.tolist(), np.zeros(B, int)), "logits"),
        (partial(relevance_loss), (QUERIES.tolist(), QUERIES), "document_reps"),
        (grade_matrix, (ROWS.tolist(), JUDGED, GRADES), "docid_rows"),
        (partial(chunked_mgcc_loss, num_grades=L), (QUERIES, DOCIDS, ROWS, JUDGED.tolist(), GRADES), "judged_rows"),
    ],
    ids=lambda value: getattr(getattr(value, "func", value), "__name__", ""),
)
def test_lists_in_place_of_arrays(loss, arguments, name):
    with pytest.raises(UserError, match=f"{name} is a list: give an array of JAX or NumPy"):
        loss(*arguments)
