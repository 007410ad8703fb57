import numpy as np

from gr2_jax.decoding import SearchResult

RESULT = SearchResult(
    rows=np.array([[4, 2, 7], [3, 1, -1], [5, 6, 8]]),
    scores=np.array([[-1.0, -2.0, -3.0], [-1.0, -2.0, -np.inf], [-1.0, -2.0, -3.0]]),
    valid=np.array([[True] * 3, [True, True, False], [True] * 3]),
    pruned_bound=np.array([-2.5, -np.inf, -3.0]),
)


def test_results_at_or_above_the_bound_are_proven():
    assert RESULT.proven.tolist() == [[True, True, False], [True, True, False], [True, True, True]]
    assert RESULT.all_proven.tolist() == [False, True, True]  # the second: there are only two docids


def test_the_bound_covers_the_results_left_out():
    """A score equal to the bound is proven, up to the order of ties."""
    two, one = RESULT.best(2), RESULT.best(1)
    assert two.rows.tolist() == [[4, 2], [3, 1], [5, 6]]
    assert np.asarray(two.pruned_bound).tolist() == [-2.5, -np.inf, -3.0]
    assert np.asarray(two.all_proven).tolist() == [True, True, True]
    assert np.asarray(one.pruned_bound).tolist() == [-2.0, -2.0, -2.0]
    assert RESULT.best(3) is RESULT
    tied = RESULT._replace(scores=np.array([[-1.0, -1.0, -3.0]] * 3)).best(1)
    assert np.asarray(tied.all_proven).all()
