"""Properties of MGCC that hold for every batch."""

from functools import partial

import graded_cases as cases
import jax
import jax.numpy as jnp
import losses_reference as reference
import numpy as np
import pytest
from graded_cases import OPTIONS, B, GradedBatch, L, N, graded_batches
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax.losses import grade_matrix, mgcc_from_scores, mgcc_loss, mgcc_parts, supervised_contrastive_loss

DENOMINATORS = ["batch", "negatives", "lower"]


@partial(jax.jit, static_argnames=("num_grades", "bound", "denominator"))
def grade_losses(batch, num_grades, bound, denominator):
    """[B,L] final mean loss of each query's grades, and how many of its docids have that grade."""

    def of_one(query, grades):
        options = {"bound": bound, "denominator": denominator, "docid_mask": batch.mask, "num_grades": num_grades}
        parts = mgcc_parts(query[None], batch.docids, grades[None], **options)
        return parts.grade_loss, parts.grade_queries

    return jax.vmap(of_one)(batch.queries, batch.grades)


def assert_no_higher_grade_has_a_larger_loss(losses, present, rtol):
    for of_query, kept in zip(np.asarray(losses), np.asarray(present) > 0, strict=True):
        from_the_top = of_query[kept][::-1]
        assert np.all(from_the_top[1:] >= from_the_top[:-1] * (1 - rtol))


@pytest.mark.parametrize(
    ("bound", "denominator"), [("pair", "batch"), ("pair", "lower"), ("grade", "batch"), ("grade", "negatives")]
)
@cases.some
@given(batch=graded_batches())
def test_no_higher_grade_has_a_larger_loss(bound, denominator, batch):
    # the mean of equal losses may round
    assert_no_higher_grade_has_a_larger_loss(*grade_losses(batch, L, bound, denominator), rtol=1e-6)


@cases.some
@given(batch=graded_batches(), order=st.lists(st.permutations(range(N)), min_size=B, max_size=B))
def test_no_pair_of_a_higher_grade_has_a_larger_loss(batch, order):
    # every docid in a grade of its own, one of them in grade 0: the losses of grades are those of pairs
    batch = batch._replace(grades=np.array(order, np.int32))
    losses, present = grade_losses(batch, N - 1, "pair", "batch")
    assert np.all(present <= 1)
    assert_no_higher_grade_has_a_larger_loss(losses, present, rtol=0)


# the only grade of the scale; the best grade, alone in the batch; a middle grade, alone
ONE_GRADE = [(1, 1, "rank"), (L, L, "rank"), (2, L, "equal")]
CONSTRAINTS = [
    ("running_max", "pair", True),
    ("running_max", "grade", False),
    ("literal", "pair", False),
    ("literal", "grade", True),
    ("off", "pair", True),
]


@jax.jit
def contrastive_and_graded(batch, positives):
    """Value and gradients of supervised contrastive, and of MGCC with every constraint on batches with one grade."""

    def contrastive(queries, docids):
        return supervised_contrastive_loss(queries, docids, positives, docid_mask=batch.mask)

    def graded(queries, docids, case, how):
        (grade, num_grades, penalty), (constraint, bound, bound_gradient) = case, how
        options = {"constraint": constraint, "bound": bound, "bound_gradient": bound_gradient, "penalty": penalty}
        grades = jnp.where(positives, grade, 0)
        return mgcc_loss(queries, docids, grades, num_grades=num_grades, docid_mask=batch.mask, **options)

    def with_gradients(loss):
        return jax.value_and_grad(loss, argnums=(0, 1))(batch.queries, batch.docids)

    return with_gradients(contrastive), [
        with_gradients(partial(graded, case=case, how=how)) for case in ONE_GRADE for how in CONSTRAINTS
    ]


@cases.some
@given(batch=graded_batches())
def test_one_grade_is_supervised_contrastive_exactly(batch):
    expected, found = contrastive_and_graded(batch, batch.grades > 1)
    for of_case in found:
        jax.tree.map(np.testing.assert_array_equal, of_case, expected)


@pytest.mark.parametrize("denominator", ["negatives", "lower"])
@cases.few
@given(batch=graded_batches(), best=st.lists(st.integers(0, N - 1), min_size=B, max_size=B))
def test_one_positive_per_query_is_supervised_contrastive_for_every_denominator(denominator, batch, best):
    positives = np.arange(N) == np.array(best)[:, None]
    found = one_grade(batch._replace(grades=positives.astype(np.int32)), denominator)
    np.testing.assert_allclose(found, contrastive(batch, positives), rtol=1e-5, atol=1e-6)


@partial(jax.jit, static_argnums=1)
def one_grade(batch, denominator):
    return mgcc_loss(*batch[:3], num_grades=1, docid_mask=batch.mask, denominator=denominator)


@jax.jit
def contrastive(batch, positives):
    return supervised_contrastive_loss(batch.queries, batch.docids, positives, docid_mask=batch.mask)


@pytest.mark.parametrize("options", OPTIONS, ids=cases.name)
@cases.few
@given(batch=graded_batches(), q=st.permutations(range(B)), n=st.permutations(range(N)))
def test_the_order_of_queries_and_docids_changes_nothing(options, batch, q, n):
    moved = GradedBatch(batch.queries[q], batch.docids[n], batch.grades[q][:, n], batch.mask[n])
    value, gradients = cases.value_and_gradients(batch, options)
    value_moved, gradients_moved = cases.value_and_gradients(moved, options)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=2e-5)
    close(value_moved, value)
    close(gradients_moved[0], gradients[0][np.array(q)])
    close(gradients_moved[1], gradients[1][np.array(n)])


@partial(jax.jit, static_argnames=("denominator", "constraint", "bound"))
def losses_and_gradients(scores, grades, penalty, denominator, constraint, bound):
    """One query, a loss for each row of its scores."""

    def loss(row):
        options = {"constraint": constraint, "bound": bound, "denominator": denominator}
        return mgcc_from_scores(row[None], grades[None], num_grades=L, penalty=penalty, **options)

    return jax.vmap(jax.value_and_grad(loss))(scores)


@st.composite
def raised(draw, of):
    """Scores [8,N] of one query; one docid's score rises from row to row, and only its grade is in `of`."""
    n, grade = draw(st.integers(0, N - 1)), draw(st.sampled_from(of))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    grades = rng.choice([l for l in range(L + 1) if l != grade], N).astype(np.int32)
    grades[n] = grade
    steps = np.linspace(0, draw(st.sampled_from([0.1, 3, 30])), 8)[:, None] * (np.arange(N) == n)
    return n, grades, (rng.normal(size=N) + steps).astype(np.float32)


@pytest.mark.parametrize("denominator", DENOMINATORS)
@cases.some
@given(case=raised(of=[1, 2, 3]))
def test_a_more_similar_docid_never_has_a_larger_loss_of_its_own(denominator, case):
    # Before the constraint: where it binds, a pair's loss IS the loss of a higher grade, which then grows.
    n, grades, scores = case
    only_its_own = np.arange(1, L + 1) == grades[n]
    losses, gradients = jax.device_get(
        losses_and_gradients(scores, grades, 1.0 * only_its_own, denominator, "off", "pair")
    )
    assert np.all(np.diff(losses) <= 1e-6)  # rounding, where the loss is almost 0
    assert np.all(gradients[:, n] <= 1e-6)


@pytest.mark.parametrize(("constraint", "bound"), [("running_max", "pair"), ("literal", "grade")])
@cases.some
@given(case=raised(of=[1, 2, 3]))
def test_where_no_positive_repels_another_all_pull_and_all_negatives_push(constraint, bound, case):
    _, grades, scores = case
    losses, gradients = jax.device_get(losses_and_gradients(scores, grades, np.ones(L), "negatives", constraint, bound))
    assert np.all(np.diff(losses) <= 1e-6)
    assert np.all(gradients[:, grades > 0] <= 1e-6)
    assert np.all(gradients[:, grades == 0] >= -1e-6)


@cases.some
@given(case=raised(of=[3]))
def test_no_docid_is_repelled_by_a_less_relevant_one(case):
    # The only docid of the best grade is in no other docid's denominator.
    n, grades, scores = case
    losses, gradients = jax.device_get(losses_and_gradients(scores, grades, np.ones(L), "lower", "running_max", "pair"))
    assert np.all(np.diff(losses) <= 1e-6)
    assert np.all(gradients[:, n] <= 1e-6)


@partial(jax.jit, static_argnames="denominator")
def loss_of_rows(queries, docids, docid_rows, judged_rows, judged_grades, denominator):
    grades, mask = grade_matrix(docid_rows, judged_rows, judged_grades)
    return mgcc_loss(queries, docids, grades, num_grades=L, docid_mask=mask, denominator=denominator)


@pytest.mark.parametrize("denominator", DENOMINATORS)
@cases.some
@given(
    batch=graded_batches(),
    docid_rows=st.lists(st.integers(-1, 5), min_size=N, max_size=N),
    judged=st.lists(st.permutations(range(6)), min_size=B, max_size=B),
)
def test_duplicates_and_padding_change_nothing(denominator, batch, docid_rows, judged):
    judged_rows, judged_grades = np.array(judged)[:, :4], batch.grades[:, :4]
    value = loss_of_rows(batch.queries, batch.docids, np.array(docid_rows), judged_rows, judged_grades, denominator)
    once = [n for n, row in enumerate(docid_rows) if row >= 0 and row not in docid_rows[:n]]
    grade_of = [dict(zip(rows, grades, strict=True)) for rows, grades in zip(judged_rows, judged_grades, strict=True)]
    grades = [[of_query.get(docid_rows[n], 0) for n in once] for of_query in grade_of]
    expected = reference.mgcc(batch.queries, batch.docids[once], grades, num_grades=L, denominator=denominator)
    np.testing.assert_allclose(value, expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("options", cases.SUMS, ids=cases.name)
@cases.few
@given(batch=graded_batches())
def test_sums_over_parts_of_the_queries_add_up_to_the_whole(options, batch):
    value, gradients = cases.value_and_gradients(batch, options)
    parts = [
        cases.value_and_gradients(
            batch._replace(queries=batch.queries[q : q + 1], grades=batch.grades[q : q + 1]), options
        )
        for q in range(B)
    ]
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=5e-5)
    close(sum(v for v, _ in parts), value)
    close(np.concatenate([g[0] for _, g in parts]), gradients[0])
    close(sum(g[1] for _, g in parts), gradients[1])
