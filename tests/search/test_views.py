import dataclasses
import math

import pytest

from gr2_jax.search.searcher import Hit, SearchOptions
from gr2_jax.search.views import Views

OPTIONS = SearchOptions(beams=3)


@dataclasses.dataclass(frozen=True)
class Fixed:
    """A retriever with fixed answers: query -> [(document, docid, probability)], best first."""

    answers: dict
    options: SearchOptions = OPTIONS

    def with_options(self, **changes):
        return dataclasses.replace(self, options=dataclasses.replace(self.options, **changes))

    def search(self, queries, k, whole_batches=False):
        return [[Hit(d, docid, math.log(p), True) for d, docid, p in self.answers[q][:k]] for q in queries]


TITLES = Fixed({"q": [("a", "title a", 0.5), ("b", "title b", 0.3), ("c", "title c", 0.25)], "none": []})
CODES = Fixed({"q": [("c", "7 1", 0.5), ("a", "7 2", 0.25), ("d", "9 9", 0.1)], "none": []})


def test_ranks_by_the_mean_likelihood_and_shows_the_likeliest_docid():
    hits, none = Views((TITLES, CODES)).search(["q", "none"])
    assert none == []
    assert [(hit.doc_id, hit.docid) for hit in hits] == [("a", "title a"), ("c", "7 1"), ("b", "title b"), ("d", "9 9")]
    means = {"a": (0.5 + 0.25) / 2, "c": (0.25 + 0.5) / 2, "b": 0.3 / 2, "d": 0.1 / 2}
    assert {hit.doc_id: math.exp(hit.score) for hit in hits} == pytest.approx(means)
    assert not any(hit.proven for hit in hits)


def test_equal_scores_go_by_document_and_k_cuts_the_merged_list():
    views = Views((TITLES, CODES))  # a and c both have .375
    assert [hit.doc_id for hit in views.search(["q"], k=1)[0]] == ["a"]
    assert [hit.doc_id for hit in views.search(["q"], k=3)[0]] == ["a", "c", "b"]


def test_likelihoods_below_the_smallest_number_keep_their_order():
    far = [Fixed({"q": [("a", "x", 1.0)]}), Fixed({"q": [("b", "y", 1.0)]})]
    low = [dataclasses.replace(f, answers={"q": f.answers["q"]}) for f in far]
    views = Views(tuple(_Shifted(f, by) for f, by in zip(low, (-2000.0, -1999.0), strict=True)))
    assert [(hit.doc_id, hit.score) for hit in views.search(["q"])[0]] == [
        ("b", pytest.approx(-1999 - math.log(2))),
        ("a", pytest.approx(-2000 - math.log(2))),
    ]


@dataclasses.dataclass(frozen=True)
class _Shifted:
    inner: Fixed
    by: float
    options: SearchOptions = OPTIONS

    def search(self, queries, k, whole_batches=False):
        shifted = self.inner.search(queries, k)
        return [[dataclasses.replace(hit, score=hit.score + self.by) for hit in hits] for hits in shifted]


def test_options_are_those_of_every_view():
    views = Views((TITLES, CODES)).with_options(beams=9, exact="adaptive")
    assert (
        {view.options for view in views.retrievers}
        == {views.options}
        == {SearchOptions(ranking="likelihood", beams=9, exact="adaptive")}
    )
