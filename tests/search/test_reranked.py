"""A list ranked anew: which documents it has, in which order, and with which scores."""

import dataclasses

import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.search.reranked import Reranked
from gr2_jax.search.searcher import BatchOptions, Hit

LOOKS = {"a": 1.0, "b": 3.0, "c": 1.0, "d": 3.0, "e": 9.0}


@dataclasses.dataclass(frozen=True)
class Listed:
    """A searcher of one list: a, b, c, d, e."""

    options: BatchOptions = BatchOptions()
    allowed: str = "abcde"
    index_bytes, model_bytes = 3, 4

    def with_options(self, **changes):
        return dataclasses.replace(self, options=dataclasses.replace(self.options, **changes))

    def only(self, doc_ids):
        return dataclasses.replace(self, allowed="".join(doc_ids))

    def search(self, queries, k=20, *, whole_batches=False):
        hits = [Hit(doc_id, f"docid {doc_id}", -float(i), proven=True) for i, doc_id in enumerate("abcde")]
        return [[hit for hit in hits if hit.doc_id in self.allowed][:k] if query else [] for query in queries]


def look(query, doc_ids):
    return np.array([LOOKS[doc_id] for doc_id in doc_ids], np.float32)


def order(searcher, k=20):
    return "".join(hit.doc_id for hit in searcher.search(["q"], k)[0])


def test_the_first_documents_are_ordered_by_the_look_and_others_are_not_found():
    searcher = Reranked(Listed(), look, depth=4)
    assert order(searcher) == "bdac"  # equal ones stay as they were, and e is the fifth
    assert order(searcher, k=2) == "bd"
    assert order(dataclasses.replace(searcher, depth=5)) == "ebdac"
    assert order(searcher.only("ace")) == "eac"
    assert searcher.search(["", "q"])[0] == []


def test_a_weight_adds_the_first_score():
    (hits,) = Reranked(Listed(), look, depth=4, weight=2.0).search(["q"])
    expected = {"a": 1.0 + 2 * 0, "b": 3.0 + 2 * -1, "c": 1.0 + 2 * -2, "d": 3.0 + 2 * -3}
    assert {hit.doc_id: hit.score for hit in hits} == expected
    assert [hit.doc_id for hit in hits] == ["a", "b", "c", "d"]


def test_hits_keep_their_docids_and_prove_nothing():
    searcher = Reranked(Listed(), look, text_bytes=30, look_bytes=40)
    (hits,) = searcher.search(["q"], 2)
    assert [(hit.docid, hit.score, hit.proven) for hit in hits] == [("docid e", 9.0, False), ("docid b", 3.0, False)]
    assert (searcher.index_bytes, searcher.model_bytes, searcher.proves) == (33, 44, False)
    assert searcher.with_options(batch=7).options.batch == 7


@pytest.mark.parametrize("k", [0, 10_001])
def test_lists_of_no_length_are_refused(k):
    with pytest.raises(UserError, match=f"a search returns 1 to 10,000 documents, not {k}"):
        Reranked(Listed(), look).search(["q"], k)
