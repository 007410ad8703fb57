import pytest

from gr2_jax.evaluation.few_queries import rough_means


@pytest.mark.parametrize(
    ("queries", "said"), [(1, "the means of 1 query are rough: "), (29, "the means of 29 queries are rough: ")]
)
def test_means_of_few_queries_are_called_rough(queries, said):
    assert rough_means(queries).startswith(said)


@pytest.mark.parametrize("queries", [30, 300])
def test_means_of_enough_queries_are_not(queries):
    assert rough_means(queries) is None
