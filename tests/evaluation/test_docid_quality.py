import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.docids.structure import structure
from gr2_jax.evaluation import docid_quality as module
from gr2_jax.evaluation.docid_quality import (
    docid_quality,
    docid_vectors,
    examples,
    nearest_cosine,
    own_rank,
    quality_table,
    rank_summary,
    similarity_summary,
)
from gr2_jax.search.bm25 import BM25

DOCS = {
    "wing": "heat flow over a wing",
    "plate": "heat flow along a plate and heat transfer",
    "empty": "",
    "shock": "shock waves",
    "jet": "a jet of air heated by a shock",
}
DOCIDS = np.array([[5, 6, 0], [5, 7, 5], [9, 0, 0], [5, 6, 8], [7, 5, 5]])
ASSIGNMENT = {"documents": 5, "unique_share_before": 0.8, "needed_later_candidate": 1, "length_mean": 2.4}


@pytest.fixture(scope="module")
def index():
    return BM25(list(DOCS), list(DOCS.values()))


def quality(index=None, **more):
    return docid_quality(
        DOCIDS,
        doc_ids=list(DOCS),
        documents=list(DOCS.values()),
        docid_texts=["heat wing", "heat", "", "wave", "air"],
        assignment=ASSIGNMENT,
        index=index,
        positions=False,
        seed=0,
        **more,
    )


def test_own_rank_by_hand(index):
    # "heat" is in three documents, most often in plate; wing, found before jet, is the second.
    texts = ["heat", "heat", "heat", "", "zebra"]
    assert own_rank(index, list(DOCS), texts, sample=9, seed=0).tolist() == [2, 1, 0, 0, 0]
    texts = ["wings", "transfers", "wing", "shock wave", "the air"]
    assert own_rank(index, list(DOCS), texts, sample=9, seed=0).tolist() == [1, 1, 0, 1, 1]


def test_the_sample_has_this_size_no_repeats_and_depends_on_the_seed(index):
    texts = ["heat", "heat", "heat", "", "zebra"]
    samples = [own_rank(index, list(DOCS), texts, sample=3, seed=seed).tolist() for seed in (0, 0, *range(1, 9))]
    assert {len(ranks) for ranks in samples} == {3}
    assert samples[0] == samples[1]
    assert len(set(map(tuple, samples))) > 1


def test_rank_summary():
    found = rank_summary(np.array([1, 1, 2, 10, 11, 100, 0, 0]))
    assert sum(found["histogram"]) == 6
    assert found["histogram"][:2] == [2, 1]
    assert len(found["histogram"]) == found["depth"] == 100
    del found["histogram"]
    assert found == pytest.approx(
        {
            "sample": 8,
            "depth": 100,
            "rank_1_share": 2 / 8,
            "top_10_share": 4 / 8,
            "mrr": (1 + 1 + 1 / 2 + 1 / 10 + 1 / 11 + 1 / 100) / 8,
            "not_found_share": 2 / 8,
        }
    )


def plain_nearest(docids, positions):
    """Each docid's largest tf-idf cosine with another, in float64, word by word."""
    bags = [Counter((t, i if positions else 0) for i, t in enumerate(docid) if t) for docid in docids]
    df = Counter(feature for bag in bags for feature in bag)
    idf = {feature: math.log((1 + len(bags)) / (1 + count)) + 1 for feature, count in df.items()}
    vectors = [{feature: tf * idf[feature] for feature, tf in bag.items()} for bag in bags]
    norms = [math.sqrt(sum(x * x for x in vector.values())) for vector in vectors]

    def cosine(i, j):
        return sum(x * vectors[j].get(feature, 0) for feature, x in vectors[i].items()) / (norms[i] * norms[j])

    return [max((cosine(i, j) for j in range(len(bags)) if j != i), default=0) for i in range(len(bags))]


docid_arrays = st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=4), min_size=1, max_size=12)


@given(docid_arrays, st.booleans(), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_nearest_docid_equals_comparing_all_pairs(docids, positions, block):
    docids = np.array([docid + [0] * (4 - len(docid)) for docid in docids], np.uint16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        found = nearest_cosine(docid_vectors(docids, positions=positions), sample=99, seed=0)
    np.testing.assert_allclose(found, plain_nearest(docids.tolist(), positions), atol=1e-6)
    assert found.max() <= 1


def test_a_code_at_another_place_is_another_code():
    docids = np.array([[3, 4], [4, 3]])
    assert nearest_cosine(docid_vectors(docids, positions=False), sample=2, seed=0) == pytest.approx([1, 1])
    assert nearest_cosine(docid_vectors(docids, positions=True), sample=2, seed=0) == pytest.approx([0, 0])


def test_nearest_vector_equals_comparing_all_pairs(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 7)
    vectors = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    vectors[[4, 31]] = [[1, 2, 3], [2, 4, 6]]
    vectors[9] = 0
    unit = vectors.astype(float) / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, 0)
    expected = cosines.max(axis=1)
    np.testing.assert_allclose(nearest_cosine(vectors, sample=99, seed=1), expected, atol=1e-6)
    some = nearest_cosine(vectors, sample=5, seed=1)
    rows = np.sort(np.random.default_rng(1).choice(40, 5, replace=False))
    np.testing.assert_allclose(some, expected[rows], atol=1e-6)


def test_similarity_summary():
    found = similarity_summary(np.array([0.0, 0.5, 0.95, 1.0]))
    expected = {"sample": 4, "mean": 2.45 / 4, "p50": 0.725, "p95": 0.9925, "nearly_same_share": 0.25}
    assert found == pytest.approx(expected)


def test_examples_are_short():
    long = "word " * 100
    found = examples(["a", "b"], ["One line\nand\tanother", long], ["x", "y"], count=5, seed=0)
    assert found[0] == {"doc_id": "a", "document": "One line and another", "docid": "x"}
    assert len(found[1]["document"]) <= 100
    assert len(examples(["a", "b", "c"], ["", "", ""], ["", "", ""], count=2, seed=0)) == 2


def test_all_parts_of_a_scheme(index):
    found = quality(index, vectors=np.eye(5)[[0, 0, 1, 2, 3]], held_out={"nll_per_token": 2.0, "perplexity": math.e**2})
    assert json.loads(json.dumps(found)) == found
    assert found["assignment"] == ASSIGNMENT
    assert found["structure"] == structure(DOCIDS)
    assert found["own_rank"]["histogram"][:2] == [4, 0]  # all but the empty one
    assert found["neighbour_similarity"]["mean"] == pytest.approx(np.mean(plain_nearest(DOCIDS.tolist(), False)))
    assert found["vector_similarity"]["nearly_same_share"] == pytest.approx(2 / 5)
    assert found["held_out"]["nll_per_token"] == 2
    assert [example["doc_id"] for example in found["examples"]] == list(DOCS)


def test_parts_that_do_not_apply():
    found = quality()
    assert [name for name, part in found.items() if part is None] == ["own_rank", "vector_similarity", "held_out"]


def test_the_table_has_a_row_for_each_scheme(index):
    lines = quality_table({"fusion": quality(index, held_out={"nll_per_token": 2.5}), "codes": quality()}).splitlines()
    header, _, fusion, codes = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    fusion, codes = (dict(zip(header[1:], row[1:], strict=True)) for row in (fusion, codes))
    assert fusion["documents"] == "5"
    assert fusion["unique"] == "0.8"
    assert fusion["suffix"] == "-"  # not among these figures
    assert fusion["nll"] == "2.5"
    # By the first token only [9] and [7, 5, 5] are alone; by three every docid is.
    assert [fusion[f"at {t}"] for t in (1, 2, 3)] == ["0.4", "0.6", "1"]
    assert [codes[name] for name in ("rank 1", "MRR", "nll")] == ["-", "-", "-"]
