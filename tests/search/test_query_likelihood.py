"""Query likelihood against its formula in plain Python, and interpolation."""

import math

import pytest

from gr2_jax.errors import UserError
from gr2_jax.search.interpolated import Interpolated
from gr2_jax.search.query_likelihood import QueryLikelihood
from gr2_jax.search.searcher import Hit

TEXTS = ["cats chase mice", "a dog chased the cat", "mice mice mice and dogs", "birds", ""]
WORDS = [["cat", "chase", "mice"], ["dog", "chase", "cat"], ["mice", "mice", "mice", "dog"], ["bird"], []]


def formula(query, words, mu):
    every = [word for document in WORDS for word in document]
    return sum(
        math.log((words.count(word) + mu * every.count(word) / len(every)) / (len(words) + mu))
        for word in query
        if word in every
    )


@pytest.mark.parametrize("mu", [0.5, 1000.0])
@pytest.mark.parametrize("query", [["mice"], ["cat", "dog"], ["mice", "mice", "chase"], ["bird", "zebra"]])
def test_scores_are_the_formula_s_and_only_documents_with_a_word_are_found(query, mu):
    (hits,) = QueryLikelihood([f"d{i}" for i in range(5)], TEXTS, mu=mu).search([" ".join(query)])
    expected = {f"d{i}": formula(query, words, mu) for i, words in enumerate(WORDS) if set(query) & set(words)}
    assert {hit.doc_id: hit.score for hit in hits} == pytest.approx(expected)
    assert [hit.score for hit in hits] == sorted(expected.values(), reverse=True)


def test_k_cuts_the_list_and_a_query_without_known_words_finds_nothing():
    index = QueryLikelihood(["a", "b", "c", "d", "e"], TEXTS)
    assert len(index.search(["mice dog cat"], k=2)[0]) == 2
    assert index.search(["the zebra", ""]) == [[], []]
    assert index.index_bytes > 0


def test_documents_without_words_are_refused():
    with pytest.raises(UserError, match="cannot index 2 documents without a single word"):
        QueryLikelihood(["a", "b"], ["", "the"])


class Fixed:
    """A searcher of one list."""

    def __init__(self, **scores):
        self.hits = [Hit(doc_id, "", score, proven=True) for doc_id, score in scores.items()]
        self.index_bytes, self.model_bytes, self.options = 3, 4, None

    def search(self, queries, k=20, *, whole_batches=False):
        return [self.hits[:k] for _ in queries]


def test_interpolation_is_the_weighted_mean_of_scaled_scores():
    both = Interpolated(Fixed(a=-1.0, b=-2.0, c=-5.0), Fixed(c=30.0, d=20.0, a=10.0), share=0.25)
    (hits,) = both.search(["q"])
    expected = {"a": 0.25 * 1 + 0, "b": 0.25 * 0.75, "c": 0 + 0.75 * 1, "d": 0.75 * 0.5}
    assert {hit.doc_id: hit.score for hit in hits} == pytest.approx(expected)
    assert [hit.doc_id for hit in hits] == ["c", "d", "a", "b"]
    assert [hit.doc_id for hit in both.search(["q"], k=1)[0]] == ["c"]
    assert (both.index_bytes, both.model_bytes) == (6, 8)


@pytest.mark.parametrize(("share", "first"), [(1.0, "a"), (0.0, "c")])
def test_a_share_of_1_or_0_is_one_of_the_two(share, first):
    hits = Interpolated(Fixed(a=2.0, b=1.0), Fixed(c=9.0), share).search(["q"])[0]
    assert hits[0].doc_id == first


def test_an_empty_list_leaves_the_other():
    assert [hit.doc_id for hit in Interpolated(Fixed(), Fixed(b=1.0, a=1.0)).search(["q"])[0]] == ["a", "b"]
