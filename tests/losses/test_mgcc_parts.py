from functools import partial

import jax
import losses_reference as reference
import numpy as np
import pytest

from gr2_jax.losses import mgcc_loss, mgcc_parts

L = 3


@partial(jax.jit, static_argnames="constraint")
def parts_of(queries, docids, grades, mask, constraint):
    return mgcc_parts(queries, docids, grades, num_grades=L, docid_mask=mask, constraint=constraint)


@pytest.mark.parametrize("constraint", ["running_max", "literal", "off"])
@pytest.mark.parametrize("seed", range(4))
def test_parts_match_brute_force(graded_batch, constraint, seed):
    batch = graded_batch(seed)
    parts = parts_of(batch.queries, batch.docids, batch.grades, batch.mask, constraint)

    of_grade, bound, right, ordered = {l: [] for l in range(1, L + 1)}, [], 0, 0
    all_pairs = reference.l_pairs(batch.queries, batch.docids, temperature=0.1, kind="cosine", docid_mask=batch.mask)
    for pairs, grades in zip(all_pairs, batch.grades, strict=True):
        for l, losses in reference.final_pair_losses(pairs, grades, L, constraint).items():
            of_grade[l].append(np.mean(list(losses.values())))
            bound += [loss != -pairs[n] for n, loss in losses.items()]
        for i in pairs:
            for j in pairs:
                if grades[i] > grades[j] > 0:
                    ordered += 1
                    right += pairs[i] > pairs[j]

    np.testing.assert_allclose(
        parts.grade_loss, [np.mean(losses) if losses else 0 for losses in of_grade.values()], rtol=2e-5
    )
    np.testing.assert_array_equal(parts.grade_queries, [len(losses) for losses in of_grade.values()])
    np.testing.assert_allclose(parts.bound_share, np.mean(bound), rtol=1e-6)
    assert parts.positive_pairs == len(bound)
    assert parts.ordered_pairs == ordered
    np.testing.assert_allclose(parts.order_accuracy, right / ordered, rtol=1e-6)
    if constraint == "running_max" and seed == 1:
        assert 0 < parts.bound_share < 1


def test_the_loss_and_its_gradient_are_those_of_mgcc_loss(graded_batch):
    batch = graded_batch(1)

    def with_parts(queries, docids):
        parts = mgcc_parts(queries, docids, batch.grades, num_grades=L)
        return sum(1.0 * part.sum() for part in parts), parts

    def alone(queries, docids):
        return mgcc_loss(queries, docids, batch.grades, num_grades=L)

    gradients, parts = jax.jit(jax.grad(with_parts, argnums=(0, 1), has_aux=True))(batch.queries, batch.docids)
    value, expected = jax.jit(jax.value_and_grad(alone, argnums=(0, 1)))(batch.queries, batch.docids)
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    close(parts.loss, value)
    jax.tree.map(close, gradients, expected)


def test_ties_are_not_in_the_right_order(graded_batch):
    batch = graded_batch(1)
    parts = parts_of(batch.queries, np.ones_like(batch.docids), batch.grades, batch.mask, "off")
    assert parts.ordered_pairs > 0
    assert parts.order_accuracy == 0


def test_nothing_to_measure_gives_zeros(graded_batch):
    batch = graded_batch(1)
    parts = parts_of(batch.queries, batch.docids, np.zeros_like(batch.grades), batch.mask, "off")
    assert not any(np.any(part) for part in parts)
