import math

import pytest

from gr2_jax.errors import UserError
from gr2_jax.evaluation.metrics import evaluate_run
from gr2_jax.search.bm25 import BM25

DOCS = {"d1": "cats cats dogs", "d2": "the dogs", "d3": "", "d4": "dog", "d5": "birds birds birds birds"}


def bm25_run(doc_ids, texts, queries, *, k=100):
    found = BM25(doc_ids, texts).search(list(queries.values()), k)
    return {query: [(hit.doc_id, hit.score) for hit in hits] for query, hits in zip(queries, found, strict=True)}


def _score(tf, length, df, documents=5, average=(3 + 1 + 0 + 1 + 4) / 5):
    idf = math.log(1 + (documents - df + 0.5) / (df + 0.5))
    return idf * tf / (tf + 1.5 * (1 - 0.75 + 0.75 * length / average))


def test_scores_by_hand():
    run = bm25_run(list(DOCS), list(DOCS.values()), {"q2": "Dog", "q1": "the cat and a dog", "q3": "dog dog"})
    assert list(run) == ["q2", "q1", "q3"]
    dog = {"d2": _score(1, 1, 3), "d4": _score(1, 1, 3), "d1": _score(1, 3, 3)}
    assert dict(run["q2"]) == pytest.approx(dog, rel=1e-6)
    assert [doc for doc, _ in run["q2"]] == ["d2", "d4", "d1"]  # the tie in document order
    assert [doc for doc, _ in run["q1"]] == ["d1", "d2", "d4"]
    assert dict(run["q1"])["d1"] == pytest.approx(_score(1, 3, 3) + _score(2, 3, 1), rel=1e-6)
    assert dict(run["q3"]) == pytest.approx({doc: 2 * score for doc, score in dog.items()}, rel=1e-6)


def test_nothing_found_and_short_lists(capfd):
    index = BM25(list(DOCS), list(DOCS.values()))
    assert index.search(["", "the of", "zebra"]) == [[], [], []]
    ((hit,),) = index.search(["dog"], k=1)
    assert (hit.doc_id, hit.docid, hit.proven) == ("d2", "", True)
    assert index.search([]) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("texts", [[], ["", "the of a"]])
def test_no_words_at_all(texts):
    with pytest.raises(UserError, match="without a single word"):
        BM25([str(i) for i in range(len(texts))], texts)


def test_cranfield(cranfield):
    run = bm25_run(cranfield.doc_ids, cranfield.texts, cranfield.queries)
    values = evaluate_run(run, cranfield.qrels)
    assert values == pytest.approx({"nDCG@5": 0.336, "nDCG@20": 0.400, "P@20": 0.154, "ERR@20": 0.247}, abs=0.003)
    assert not {"471", "995"} & {doc for hits in run.values() for doc, _ in hits}  # the two empty documents
