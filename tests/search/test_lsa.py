import math

import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.evaluation.metrics import evaluate_run
from gr2_jax.search.lsa import LSA


def lsa_run(doc_ids, texts, queries, *, k=100, **options):
    found = LSA(doc_ids, texts, **options).search(list(queries.values()), k)
    return {query: [(hit.doc_id, hit.score) for hit in hits] for query, hits in zip(queries, found, strict=True)}


def test_full_rank_is_the_cosine_of_tf_idf():
    texts = ["cats cats birds", "dogs", "", "birds", "cats fishes dogs"]
    words = ["cat", "bird", "dog", "fish"]
    counts = np.array([[2, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 1]])
    idf = [math.log((1 + 5) / (1 + (counts[:, w] > 0).sum())) + 1 for w in range(len(words))]
    rows = np.array([[(1 + math.log(n)) * i if n else 0.0 for n, i in zip(row, idf, strict=True)] for row in counts])
    query = np.array([idf[0], idf[1], 0, 0])
    cosine = rows @ query / np.maximum(np.linalg.norm(rows, axis=1), 1e-9) / np.linalg.norm(query)
    run = lsa_run("abcde", texts, {"q": "the cat and a bird", "none": "zebra"}, seed=0)
    expected = {doc: c for doc, c in zip("abcde", cosine, strict=True) if c > 1e-6}
    found = {doc: score for doc, score in run["q"] if score > 1e-6}
    assert found == pytest.approx(expected, abs=1e-6)
    assert run["none"] == []


def test_finds_documents_without_a_shared_word():
    texts = ["car engine wheel", "automobile engine wheel", "car road", "flower garden", "rose garden flower"]
    run = lsa_run("abcde", texts, {"q": "car"}, dimensions=2, k=3)
    assert {doc for doc, _ in run["q"]} == {"a", "b", "c"}


def test_same_seed_same_run():
    rng = np.random.default_rng(0)
    texts = [" ".join(f"word{w}" for w in rng.zipf(1.5, 12) % 50) for _ in range(60)]
    queries = {str(i): text for i, text in enumerate(texts[:5])}
    ids = [str(i) for i in range(60)]
    assert lsa_run(ids, texts, queries, dimensions=4, seed=1) == lsa_run(ids, texts, queries, dimensions=4, seed=1)


@pytest.mark.parametrize(("texts", "says"), [(["", "the"], "without a single word"), (["cat", "cats"], "only 'cat'")])
def test_too_few_words(texts, says):
    with pytest.raises(UserError, match=says):
        lsa_run("ab", texts, {"q": "cat"})


def test_cranfield_is_in_the_range_of_bm25(cranfield):
    run = lsa_run(cranfield.doc_ids, cranfield.texts, cranfield.queries, k=20, seed=0)
    assert evaluate_run(run, cranfield.qrels)["nDCG@20"] == pytest.approx(0.447, abs=0.01)
