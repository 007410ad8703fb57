"""Every searcher over chosen documents: the same scores, and nothing else is found."""

import numpy as np
import pytest

from gr2_jax.corpus import Document
from gr2_jax.errors import UserError
from gr2_jax.search.bm25 import BM25
from gr2_jax.search.dense import DenseIndex
from gr2_jax.search.interpolated import Interpolated
from gr2_jax.search.lsa import LSA
from gr2_jax.search.opened import OpenRetriever
from gr2_jax.search.query_likelihood import QueryLikelihood

WORDS = ["sort", "array", "matrix", "cubic", "roots"]
IDS = [f"{folder}/{i}.md" for folder in ("a", "b") for i in range(10)]
TEXTS = [" ".join(WORDS[(i + j) % 5] for j in range(1 + i % 3)) + " text" for i in range(20)]
QUERIES = ["sort array", "cubic", "matrix roots text"]


def dense():
    vectors = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    return DenseIndex(IDS, vectors, lambda texts, _: np.float32([[len(text), 1, -3, 2] for text in texts]))


SEARCHERS = {
    "BM25": lambda: BM25(IDS, TEXTS),
    "QL": lambda: QueryLikelihood(IDS, TEXTS),
    "LSA": lambda: LSA(IDS, TEXTS, dimensions=3),
    "Dense": dense,
}


@pytest.mark.parametrize("kind", SEARCHERS)
def test_the_list_is_that_of_all_documents_without_the_others(kind):
    searcher, chosen = SEARCHERS[kind](), {"a/1.md", "a/6.md", "b/0.md", "b/5.md"}
    whole = searcher.search(QUERIES, 20)
    for hits, all_hits in zip(searcher.only(chosen).search(QUERIES, 20), whole, strict=True):
        assert hits == [hit for hit in all_hits if hit.doc_id in chosen]
    assert searcher.search(QUERIES, 20) == whole
    assert searcher.only(set()).search(QUERIES, 3) == [[], [], []]


def test_both_searchers_of_a_mean_are_limited():
    both = Interpolated(SEARCHERS["BM25"](), dense(), 0.3)
    found = both.only({"b/2.md", "b/4.md"}).search(["sort array text"], 5)
    assert {hit.doc_id for hit in found[0]} == {"b/2.md", "b/4.md"}


@pytest.fixture(scope="module")
def opened():
    documents = {doc_id: Document(doc_id, "", text) for doc_id, text in zip(IDS, TEXTS, strict=True)}
    return OpenRetriever(SEARCHERS["BM25"](), "BM25", documents, "here")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("b/*", {i for i in IDS if i.startswith("b/")}),
        ("a/1.md", {"a/1.md"}),
        ("?/[34].md", {"a/3.md", "a/4.md", "b/3.md", "b/4.md"}),
        (["a/1.md", "b/2.md"], {"a/1.md", "b/2.md"}),
        (("b/*", "a/0.md"), {i for i in IDS if i.startswith("b/")} | {"a/0.md"}),
    ],
)
def test_documents_are_chosen_by_ids_and_patterns(opened, asked, expected):
    assert {hit.doc_id for hit in opened.only(asked).search("text", 20)} == expected


def test_the_others_can_be_left_out(opened):
    assert {hit.doc_id for hit in opened.only(without="a/*").search("text", 20)} == {i for i in IDS if "b/" in i}
    assert {hit.doc_id for hit in opened.only("*/1.md", without="a/*").search("text", 20)} == {"b/1.md"}


def test_a_choice_of_a_choice_is_narrower(opened):
    some = opened.only("b/*")
    assert {hit.doc_id for hit in some.only("?/[12].md").search("text", 20)} == {"b/1.md", "b/2.md"}
    assert "a/1.md" not in {hit.doc_id for hit in some.only(without="b/1.md").search("text", 20)}
    assert list(some.documents) == [i for i in IDS if i.startswith("b/")]
    with pytest.raises(UserError, match="no document's id"):
        some.only("a/*")
    for kind in SEARCHERS:  # searchers themselves, too
        assert SEARCHERS[kind]().only({"a/1.md"}).only({"b/1.md"}).search(QUERIES, 3) == [[], [], []]


@pytest.mark.parametrize("asked", ["c/*", "a/11.md", ["a/1.md", "a/11.md"]])
def test_what_names_no_document_is_refused(opened, asked):
    with pytest.raises(UserError, match=r"no document's id is or matches '(c/\*'|a/11.md': did you mean 'a/1.md'\?)"):
        opened.only(asked)
