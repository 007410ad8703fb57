from functools import partial

import graded_cases as cases
import jax
import losses_reference as reference
import numpy as np
import pytest
from graded_cases import L, graded_batches
from hypothesis import given

from gr2_jax.losses import mgcc_parts


@partial(jax.jit, static_argnames=("constraint", "bound", "denominator"))
def parts_of(batch, constraint, bound="pair", denominator="batch"):
    options = {"constraint": constraint, "bound": bound, "denominator": denominator}
    return mgcc_parts(*batch[:3], num_grades=L, docid_mask=batch.mask, **options)


def order_counts(scores, grades, mask):
    """Pairs of relevant docids with different grades: how many are in the right order, and how many there are."""
    kept = [(s, g) for s, g, keep in zip(scores, grades, mask, strict=True) if keep]
    pairs = [s > t for s, g in kept for t, h in kept if g > h > 0]
    return sum(pairs), len(pairs)


@pytest.mark.parametrize(
    ("constraint", "bound", "denominator"),
    [
        ("running_max", "pair", "batch"),
        ("running_max", "grade", "negatives"),
        ("literal", "pair", "negatives"),
        ("literal", "grade", "lower"),
        ("off", "pair", "lower"),
    ],
)
@cases.some
@given(batch=graded_batches())
def test_parts_match_brute_force(constraint, bound, denominator, batch):
    parts = parts_of(batch, constraint, bound, denominator)
    scores = reference.scaled_similarities(batch.queries, batch.docids, temperature=0.1, kind="cosine")
    of_grade, changed, order = {l: [] for l in range(1, L + 1)}, [], []
    for row, grades in zip(scores, batch.grades, strict=True):
        losses = reference.pair_losses(row, grades, num_grades=L, denominator=denominator, docid_mask=batch.mask)
        final = reference.final_losses(losses, constraint=constraint, bound=bound)
        free = reference.compared(losses, bound)
        for l in losses:
            of_grade[l].append(np.mean(final[l]))
            # every pair of a bound grade
            pairs = len(losses[l]) // len(final[l])
            changed += pairs * [x != y for x, y in zip(final[l], free[l], strict=True)]
        order.append(order_counts(row, grades, batch.mask))

    right, ordered = np.sum(order, axis=0)
    np.testing.assert_allclose(
        parts.grade_loss, [np.mean(x) if x else 0 for x in of_grade.values()], rtol=2e-5, atol=1e-6
    )
    np.testing.assert_array_equal(parts.grade_queries, [len(x) for x in of_grade.values()])
    np.testing.assert_allclose(parts.bound_share, np.mean(changed) if changed else 0, rtol=1e-6)
    assert parts.positive_pairs == len(changed)
    assert parts.ordered_pairs == ordered
    np.testing.assert_allclose(parts.order_accuracy, right / ordered if ordered else 0, rtol=1e-6)


@partial(jax.jit, static_argnums=1)
def gradients_and_parts(batch, options):
    def everything(queries, docids):
        parts = mgcc_parts(queries, docids, batch.grades, num_grades=L, docid_mask=batch.mask, **dict(options))
        return sum(1.0 * part.sum() for part in parts), parts

    return jax.grad(everything, argnums=(0, 1), has_aux=True)(batch.queries, batch.docids)


@cases.few
@given(batch=graded_batches())
def test_the_loss_and_its_gradient_equal_mgcc_loss(batch):
    options = cases.OPTIONS[3]
    gradients, parts = gradients_and_parts(batch, tuple(options.items()))
    value, expected = cases.value_and_gradients(batch, options)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=2e-5)
    close(parts.loss, value)
    jax.tree.map(close, gradients, expected[:2])


@cases.few
@given(batch=graded_batches())
def test_ties_are_not_in_the_right_order(batch):
    parts = parts_of(batch._replace(docids=np.ones_like(batch.docids)), "off")
    assert parts.order_accuracy == 0


@cases.few
@given(batch=graded_batches())
def test_nothing_to_measure_gives_zeros(batch):
    parts = parts_of(batch._replace(grades=np.zeros_like(batch.grades)), "off")
    assert not any(np.any(part) for part in parts)
