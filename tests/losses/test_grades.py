import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gr2_jax.errors import UserError
from gr2_jax.losses import grade_matrix, judged_columns, own_occurrences

B, N, J = 3, 6, 4
compiled = jax.jit(lambda *rows: (grade_matrix(*rows), judged_columns(*rows)))


@settings(max_examples=100)
@given(
    arrays.arrays(np.int32, N, elements=st.integers(-1, 5)),
    arrays.arrays(np.int32, (B, J), elements=st.integers(-1, 5)),
    arrays.arrays(np.int32, (B, J), elements=st.integers(-1, 3)),
)
def test_matrix_and_columns_match_brute_force(docid_rows, judged_rows, judged_grades):
    (grades, mask), (columns, at_columns, mask_again) = compiled(docid_rows, judged_rows, judged_grades)
    for n, row in enumerate(docid_rows):
        assert mask[n] == (row != -1 and row not in docid_rows[:n])
        for b in range(B):
            judgements = [g for r, g in zip(judged_rows[b], judged_grades[b], strict=True) if r == row != -1]
            assert grades[b, n] == max([0, *judgements])
    np.testing.assert_array_equal(mask_again, mask)
    for b in range(B):
        placed = [(int(n), int(g)) for n, g in zip(columns[b], at_columns[b], strict=True) if g > 0]
        assert sorted(placed) == [(n, grades[b, n]) for n in range(N) if mask[n] and grades[b, n] > 0]
    assert grades.dtype == columns.dtype == at_columns.dtype == np.int32
    assert np.all(at_columns >= 0)


def test_a_shared_document_is_a_positive_of_both_queries_and_counts_once():
    # Query 0 brings documents 5 and 7, query 1 brings 7 again and 9; query 0 also judges 9, which it did not bring.
    grades, mask = grade_matrix(
        np.array([5, 7, 7, 9]), np.array([[5, 7, 9], [7, 9, -1]]), np.array([[3, 1, 2], [2, 1, 0]])
    )
    np.testing.assert_array_equal(grades, [[3, 1, 1, 2], [0, 2, 2, 1]])
    np.testing.assert_array_equal(mask, [True, True, False, True])


def test_a_batch_without_judgements_has_no_positives():
    nothing = np.zeros((3, 0), np.int32)
    (grades, mask), (columns, at_columns, _) = compiled(np.array([1, 2]), nothing, nothing)
    np.testing.assert_array_equal(grades, np.zeros((3, 2)))
    assert np.all(mask)
    assert columns.shape == at_columns.shape == (3, 0)


def test_judgements_of_another_shape_are_refused():
    for function in (grade_matrix, judged_columns):
        with pytest.raises(UserError, match="judged_grades has shape"):
            function(np.array([1]), np.array([[1, 2]]), np.array([[1]]))


@given(
    arrays.arrays(np.int32, N, elements=st.integers(-1, 3)),
    arrays.arrays(np.int32, N, elements=st.integers(0, B - 1)),
)
def test_each_query_is_compared_with_the_occurrence_that_it_brought(docid_rows, queries):
    scores = np.arange(B * N, dtype=np.float32).reshape(B, N)
    found = own_occurrences(scores, docid_rows, queries)
    for b in range(B):
        for n in range(N):
            first = docid_rows[n] >= 0 and docid_rows[n] not in docid_rows[:n]
            own = [m for m in range(N) if docid_rows[m] == docid_rows[n] and queries[m] == b]
            if first and own:
                assert found[b, n] in scores[b, own]
            elif first:
                assert found[b, n] == scores[b, n]
