"""mteb's search protocol, without mteb: what it is given and what it gets."""

import pytest

from gr2_jax.corpus import Document
from gr2_jax.errors import UserError
from gr2_jax.search.bm25 import BM25
from gr2_jax.search.mteb import SearchModel
from gr2_jax.search.opened import OpenRetriever

TEXTS = {"d1": "sort an array", "d2": "solve a cubic", "d3": "array of roots"}


@pytest.fixture(scope="module")
def index():
    return BM25(list(TEXTS), list(TEXTS.values()))


@pytest.fixture(scope="module")
def model(index):
    documents = {doc_id: Document(doc_id, "", text) for doc_id, text in TEXTS.items()}
    return SearchModel(OpenRetriever(index, "BM25", documents, "here"))


def test_scores_by_query_and_document(model, index):
    model.index({"id": list(TEXTS), "text": list(TEXTS.values())}, task_metadata=None, num_proc=None)
    queries = {"id": ["a", "b", "c"], "text": ["array", "cubic", "nothing"]}
    found = model.search(queries, task_metadata=None, hf_split="test", hf_subset="default", top_k=2, num_proc=None)
    assert {query: set(hits) for query, hits in found.items()} == {"a": {"d1", "d3"}, "b": {"d2"}, "c": set()}
    (hits,) = index.search(["array"], 2)
    assert found["a"] == {hit.doc_id: hit.score for hit in hits}


@pytest.mark.parametrize("ids", [["d1", "d2"], ["d1", "d2", "d3", "d4"]])
def test_another_corpus_is_refused_by_the_document_that_differs(model, ids):
    with pytest.raises(UserError, match=rf"not trained on .* '{({*ids} ^ {*TEXTS}).pop()}'"):
        model.index({"id": ids, "text": ids})


def test_given_documents_cannot_be_ranked(model):
    with pytest.raises(UserError, match="whole corpus"):
        model.search({"id": ["a"], "text": ["array"]}, top_k=2, top_ranked={"a": ["d1"]})
