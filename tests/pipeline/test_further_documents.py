"""A trained row over a collection that changed: later documents, without some of its own, and the bundle of that."""

import dataclasses

import numpy as np
import pytest
from small_collection import TEXTS, over, retrieval, small_experiment, write_folder

from gr2_jax import open_retriever
from gr2_jax.cli import main
from gr2_jax.corpus import write_documents
from gr2_jax.corpus.collection import Document
from gr2_jax.errors import UserError
from gr2_jax.experiment import DocidConfig, EvaluationConfig, ModelConfig, OptimiserConfig, VocabularyConfig
from gr2_jax.files import write_json
from gr2_jax.pipeline.further_documents import ChangedRun, with_changes
from gr2_jax.pipeline.open_run import open_run
from gr2_jax.pipeline.rows import BM25Row, System
from gr2_jax.pipeline.schemes import (
    Auto,
    FusionQueries,
    HierarchicalCodes,
    Keywords,
    ProductCodes,
    RandomNumbers,
    ResidualCodes,
    Titles,
)
from gr2_jax.pipeline.stages import run_experiment

WRITER = {
    "model": ModelConfig(dropout_rate=0.0),
    "optimiser": OptimiserConfig(steps=5),
    "pairs": 8,
    "document_length": 8,
}
SCHEMES = (
    Titles(),
    Keywords(least=2, most=4),
    ProductCodes(levels=2, codes=8),
    ResidualCodes(levels=2, codes=8),
    Auto(codes=ResidualCodes(levels=2, codes=8)),
    FusionQueries(**WRITER, beams=2, radius=0.0),
)
EXPERIMENT = small_experiment(
    vocabulary=VocabularyConfig(size=80, extra_ids=60),
    docids=DocidConfig(schemes=SCHEMES, max_length=14),
    retrieval=retrieval(optimiser=OptimiserConfig(steps=3)),
    rows=(System("GR2S", "title"), BM25Row()),
    evaluation=EvaluationConfig(beams=5, nearest=8),
)
QUERIES = ["how to sort", "a sparse matrix", "root of a new tensor"]
FURTHER = [
    Document("n0", "Tensor Root", "a tensor has roots"),
    Document("n1", "Sort Array Dense", "as a title of the collection"),
    Document("d3", "A New Title", "in the place of another document"),
]


def documents_of(texts):
    return [Document(f"d{i}", text.title(), f"{text}\n\nagain") for i, text in enumerate(texts)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("changed")
    write_folder(folder / "corpus", documents_of(TEXTS), TEXTS)
    run_experiment(over(EXPERIMENT, folder / "corpus"), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def opened(finished):
    return open_retriever(finished)


@pytest.fixture(scope="module")
def changed(opened):
    return opened.changed(FURTHER, remove=["d1", "d2?"])


def docids(retriever):
    return dict(zip(retriever.searcher.doc_ids, retriever.searcher.docid_texts, strict=True))


# what is searched


def test_documents_that_stay_keep_their_docids_and_vectors(opened, changed):
    before, after = docids(opened), docids(changed)
    gone = {"d1", "d3", *(f"d{i}" for i in range(20, 30))}
    assert list(after) == [*(doc_id for doc_id in before if doc_id not in gone), "n0", "n1", "d3"]
    assert list(changed.documents) == list(after)
    assert all(after[doc_id] == before[doc_id] for doc_id in before if doc_id not in gone)
    rows = [i for i, doc_id in enumerate(before) if doc_id not in gone]
    vectors = changed.searcher.vectors.values
    np.testing.assert_array_equal(vectors[:-3], opened.searcher.docid_vectors.values[rows])
    # what the model gives where it reads every docid anew
    anew = dataclasses.replace(changed.searcher, vectors=None).docid_vectors
    np.testing.assert_allclose(vectors, anew.values, rtol=0, atol=1e-6)
    assert changed.documents["d3"] == FURTHER[2]
    assert changed.changes.stayed == len(TEXTS) - 12
    assert (changed.changes.new, changed.changes.replaced, changed.changes.removed) == (2, 1, 11)


def test_further_documents_have_docids_of_the_scheme_that_no_other_has(opened, changed):
    after = docids(changed)
    assert after["n0"] == "tensor root"
    assert after["d3"] == "a new title"
    assert after["n1"].startswith("sort array dense")
    assert after["n1"] != "sort array dense"
    assert len(set(after.values())) == len(after)
    assert changed.changes.figures["needed_suffix"] == 1


def test_what_is_found_is_proven_over_the_changed_collection(changed):
    exact = changed.with_options(exact="exhaustive").search(QUERIES, 60)
    sure = changed.with_options(exact="adaptive").search(QUERIES, 10)
    for every, best in zip(exact, sure, strict=True):
        assert {hit.doc_id for hit in every} == set(changed.documents)
        assert [hit.doc_id for hit in best] == [hit.doc_id for hit in every[:10]]
        np.testing.assert_allclose([hit.score for hit in best], [hit.score for hit in every[:10]], rtol=1e-5)
        assert all(hit.proven for hit in best)


def test_likelihoods_are_smoothed_where_documents_were_added(opened, changed):
    assert changed.searcher.options.smoothing == 1.0
    assert opened.changed(remove="d1").searcher.options.smoothing == opened.searcher.options.smoothing == 0.0
    assert opened.with_options(smoothing=0.1).changed(FURTHER).searcher.options.smoothing == 0.1
    hit = next(hit for hit in changed.search("tensor root", 60) if hit.doc_id == "n0")
    compares, weight = changed.searcher.compares, changed.searcher.options.weight
    likelihood = np.log(np.exp(hit.log_likelihood) + 1 / len(changed.documents))
    np.testing.assert_allclose(hit.score, likelihood + weight * hit.similarity / compares.temperature, rtol=1e-5)


def test_nothing_new_gives_the_lists_of_the_run(opened):
    same = opened.changed(documents_of(TEXTS)[:30])
    assert same.changes[2:] == (60, 0, 0, 0, None)
    for ours, theirs in zip(same.search(QUERIES, 7), opened.search(QUERIES, 7), strict=True):
        assert [hit.doc_id for hit in ours] == [hit.doc_id for hit in theirs]
        np.testing.assert_allclose([hit.score for hit in ours], [hit.score for hit in theirs], rtol=1e-6)


def test_removed_and_added_again_a_document_is_what_it_was(opened):
    without = opened.changed(remove="d5")
    assert "d5" not in without.documents
    assert all(hit.doc_id != "d5" for hit in without.search(TEXTS[5], 60))
    again = without.changed([documents_of(TEXTS)[5]])
    assert docids(again) == docids(opened)


def test_of_some_documents_alone_the_others_stay_away(opened):
    few = opened.only("d1*").changed([FURTHER[0]])
    assert set(few.documents) == {"n0", *(doc_id for doc_id in opened.documents if doc_id.startswith("d1"))}


def test_documents_are_given_as_to_index(opened):
    record = {"id": "a", "title": "Tensor", "text": "more of it"}
    assert opened.changed(record).documents["a"] == opened.changed([record]).documents["a"]
    without_ids = [{"title": f"Tensor {n}", "text": "of it"} for n in "xy"]
    twice = opened.changed(without_ids).changed(without_ids[0])
    assert list(twice.documents)[-3:] == ["1", "2", "3"]
    long = opened.changed({"id": "7" * 5000, "title": "Tensor", "text": "of it"}).changed(without_ids[0])
    assert list(long.documents)[-1] == "1"


def test_what_is_removed_and_given_again_stays(opened):
    again = opened.changed([documents_of(TEXTS)[7], FURTHER[2]], remove="d*")
    assert list(again.documents) == ["d7", "d3"]
    assert docids(again)["d7"] == docids(opened)["d7"]
    assert again.documents["d3"] == FURTHER[2]


def test_int8_vectors_are_joined_with_their_scales(opened):
    small = opened.with_options(vectors="int8")
    changed = small.changed(FURTHER, remove="d1")
    anew = dataclasses.replace(changed.searcher, vectors=None).docid_vectors
    ours = changed.searcher.vectors
    np.testing.assert_allclose(
        ours.values * ours.scales[:, None], anew.values * anew.scales[:, None], rtol=0, atol=2 * ours.scales.max()
    )


def test_words_are_weighed_over_the_documents_that_there_are_now(finished):
    """Of two documents alone, which share a word, it tells less than the others; among sixty it is rare."""
    run, keywords = open_run(finished), Keywords(least=1, most=1, common=1.0)
    pair = [Document("a", "", "sort sort linear"), Document("b", "", "sort sort cubic")]
    found = keywords.open_further(ChangedRun(run, pair), run.paths.docids("keywords")).candidates(np.arange(2))
    words = [run.tokenizer.decode(token for token in first if token) for first in found[:, 0].tolist()]
    assert words == ["linear", "cubic"]


def test_fusion_keeps_the_radius_that_it_chose(finished, tmp_path):
    run = open_run(finished)
    write_json(tmp_path / "radius.json", {"radius": 4.0, "documents": 1, "figures": {}})
    scheme = dataclasses.replace(SCHEMES[-1], radii=(0.0, 4.0), resamples=1)
    opened = scheme.open_further(ChangedRun(run, FURTHER), tmp_path)
    assert (opened.radius, opened.resamples) == (4.0, 1)


def test_a_scheme_whose_model_is_gone_trains_none(finished, tmp_path):
    run = open_run(finished)
    other = dataclasses.replace(SCHEMES[-1], optimiser=OptimiserConfig(steps=6))
    with pytest.raises(UserError, match="there is no checkpoint"):
        other.open_further(ChangedRun(run, FURTHER), tmp_path)
    assert len(list((run.paths.root / "checkpoints").glob("docids-fusion-*"))) == 1


# every scheme


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_a_scheme_gives_a_later_document_what_it_would_have_given_it_before(finished, scheme):
    run = open_run(finished)
    copies = [dataclasses.replace(document, doc_id=f"c{i}") for i, document in enumerate(run.corpus.documents[:7])]
    larger = ChangedRun(run, [*run.corpus.documents, *copies])
    later = scheme.open_further(larger, run.paths.docids(scheme.name)).candidates(np.arange(60, 67))
    before = scheme.open(run).candidates(np.arange(7))
    if scheme.name in ("rq", "pq"):  # whose nearest tuples may be equally near, to a rounding
        later, before = ([sorted(map(tuple, nearest[:4])) for nearest in lists.tolist()] for lists in (later, before))
    np.testing.assert_array_equal(later, before)


@pytest.mark.parametrize("scheme", [RandomNumbers(), HierarchicalCodes()])
def test_a_scheme_of_places_in_the_collection_has_none_for_later_documents(finished, scheme):
    run = open_run(finished)
    with pytest.raises(UserError, match=f"{scheme.name} docids are places in an order of the whole collection"):
        scheme.open_further(ChangedRun(run, FURTHER), run.paths.docids(scheme.name))


# refused


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"remove": "d9x"}, "no document's id is or matches 'd9x'"),
        ({"remove": "*"}, "all 60 documents are removed and none is added"),
        ({"add": [{"id": "a", "text": "one"}, {"id": "a", "text": "two"}]}, "have the id 'a'"),
        ({"add": [{"id": "a", "text": "no title"}]}, "document a of small has no title"),
        ({"add": ""}, "document '1', which is to be added, has no text"),
        ({"add": Document("a b", "t", "t")}, "white space"),
    ],
)
def test_changes_that_cannot_be_are_refused(opened, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        opened.changed(**changes)


def test_a_row_without_docids_cannot_change(finished):
    with pytest.raises(UserError, match="row BM25 writes no docids"):
        open_retriever(finished, "BM25").changed(FURTHER)


def test_a_scheme_is_asked_about_each_document(finished):
    run = open_run(finished)
    opened = open_retriever(finished)
    parts = {"added": [Document("x", "", "text")], "removed": ()}
    with pytest.raises(UserError, match="document x of small has no title"):
        with_changes(run, "GR2S", opened.searcher, dict(opened.documents), **parts)


# the command


def command(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    return stop.value.code


def test_a_bundle_of_the_changed_collection_finds_the_same(finished, changed, tmp_path, capsys):
    source = write_documents(tmp_path / "more.jsonl", FURTHER)
    options = ["--row", "GR2S", "--add", source, "--remove", "d1", "--remove", "d2?"]
    assert command("export", finished, tmp_path / "out", *options) == 0
    printed = capsys.readouterr().out
    assert "48 documents stay, 2 are new, 1 take the place of one with their id, 11 are removed" in printed
    assert "GR2S over 51 documents" in printed
    bundle = open_retriever(tmp_path / "out")
    assert bundle.search(QUERIES, 20) == changed.search(QUERIES, 20)
    card = (tmp_path / "out/README.md").read_text()
    assert "since then 3 came or changed and 11 went" in " ".join(card.split())


def test_the_collection_as_it_is_now_says_what_changed(finished, tmp_path, capsys):
    now = [*documents_of(TEXTS)[10:], *FURTHER[:2]]
    source = write_documents(tmp_path / "now.jsonl", now)
    assert command("export", finished, tmp_path / "out", "--documents", source) == 0
    assert (
        "50 documents stay, 2 are new, 0 take the place of one with their id, 10 are removed" in capsys.readouterr().out
    )
    assert list(open_retriever(tmp_path / "out").documents) == [document.doc_id for document in now]
    assert command("export", finished, tmp_path / "other", "--documents", source, "--remove", "d1") == 2
    assert "give it alone" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
