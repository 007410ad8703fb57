import pytest

from gr2_jax.search.pyterrier import retrieve, transformer
from gr2_jax.search.searcher import Hit

_LISTS = {"one": [("d1", -0.5), ("d2", -1.5)], "none": [], "three": [("d3", -2.0)]}


class _Known:
    """Finds the same documents for a query every time."""

    def search(self, queries, k):
        return [[Hit(doc, f"title {doc}", score, True) for doc, score in _LISTS[query][:k]] for query in queries]


@pytest.fixture
def topics():
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"qid": ["7", "8", "9"], "query": ["one", "none", "three"]}, index=[5, 5, 6])


def test_rows_are_queries_times_documents(topics):
    found = retrieve(_Known(), topics)
    assert list(found.columns) == ["qid", "query", "docno", "score", "rank"]
    assert found.to_numpy().tolist() == [
        ["7", "one", "d1", -0.5, 0],
        ["7", "one", "d2", -1.5, 1],
        ["9", "three", "d3", -2.0, 0],
    ]
    assert len(retrieve(_Known(), topics, k=1)) == 2
    assert list(retrieve(_Known(), topics.iloc[1:2]).columns) == list(found.columns)


def test_transformer_in_a_pipeline(topics):
    pytest.importorskip("pyterrier")
    found = (transformer(_Known()) % 1)(topics)
    assert sorted(found["docno"]) == ["d1", "d3"]
