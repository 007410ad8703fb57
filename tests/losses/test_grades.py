import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gr2_jax.errors import UserError
from gr2_jax.losses import grade_matrix, mgcc_loss

B, N, J = 3, 6, 4
compiled = jax.jit(grade_matrix)
loss = jax.jit(mgcc_loss, static_argnames="num_grades")


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    arrays.arrays(np.int32, N, elements=st.integers(-1, 5)),
    arrays.arrays(np.int32, (B, J), elements=st.integers(-1, 5)),
    arrays.arrays(np.int32, (B, J), elements=st.integers(-1, 3)),
)
def test_grades_and_mask_match_brute_force(docid_rows, judged_rows, judged_grades):
    grades, mask = compiled(docid_rows, judged_rows, judged_grades)
    for n, row in enumerate(docid_rows):
        assert mask[n] == (row != -1 and row not in docid_rows[:n])
        for b in range(B):
            judgements = [g for r, g in zip(judged_rows[b], judged_grades[b], strict=True) if r == row != -1]
            assert grades[b, n] == max([0, *judgements])
    assert grades.dtype == np.int32


def test_a_shared_document_is_a_positive_of_both_queries_and_counts_once():
    # Query 0 brings documents 5 and 7, query 1 brings 7 again and 9; query 0 also judges 9, which it did not bring.
    grades, mask = grade_matrix(
        np.array([5, 7, 7, 9]), np.array([[5, 7, 9], [7, 9, -1]]), np.array([[3, 1, 2], [2, 1, 0]])
    )
    np.testing.assert_array_equal(grades, [[3, 1, 1, 2], [0, 2, 2, 1]])
    np.testing.assert_array_equal(mask, [True, True, False, True])


def test_a_batch_with_a_duplicate_has_the_loss_of_the_batch_without_it():
    rng = np.random.default_rng(0)
    queries, docids = rng.normal(size=(2, 3)), rng.normal(size=(4, 3))
    rows, judged, judged_grades = np.array([5, 7, 7, 9]), np.array([[5, 7], [7, 9]]), np.array([[2, 1], [2, 1]])
    grades, mask = grade_matrix(rows, judged, judged_grades)
    once = [0, 1, 3]
    without, all_of_them = grade_matrix(rows[once], judged, judged_grades)
    assert np.all(all_of_them)
    np.testing.assert_allclose(
        loss(queries, docids, grades, num_grades=2, docid_mask=mask),
        loss(queries, docids[once], without, num_grades=2),
        rtol=1e-6,
    )


def test_a_batch_without_judgements_has_no_positives():
    grades, mask = grade_matrix(np.array([1, 2]), np.zeros((3, 0), np.int32), np.zeros((3, 0), np.int32))
    np.testing.assert_array_equal(grades, np.zeros((3, 2)))
    assert np.all(mask)


def test_judgements_of_another_shape_are_refused():
    with pytest.raises(UserError, match="judged_grades has shape"):
        grade_matrix(np.array([1]), np.array([[1, 2]]), np.array([[1]]))
