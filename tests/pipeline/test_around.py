import dataclasses

import pytest
from small_collection import TEXTS, over, small_experiment, write_folder

from gr2_jax.corpus import CollectionStream, Document, source_fingerprint, subset, surrounded
from gr2_jax.experiment import CorpusConfig
from gr2_jax.pipeline.prepare import prepare
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import current_fingerprint, fingerprint_of


def stream(name, *ids, judged=()):
    documents = [Document(doc, "", f"{doc} of {name}") for doc in ids]
    qrels = {f"{name}'s query": dict.fromkeys(judged, 1)} if judged else {}
    return CollectionStream(name, lambda: iter(documents), dict.fromkeys(qrels, "x"), qrels, {"source": name})


def test_the_others_documents_follow_and_their_queries_do_not():
    own, others = stream("own", "a", "b", judged="a"), stream("others", "c", "d", judged="cd")
    both = surrounded(own, others)
    for _ in range(2):  # every pass
        assert [document.doc_id for document in both.documents()] == ["a", "b", "c", "d"]
    assert (both.queries, both.qrels) == (own.queries, own.qrels)
    assert both.provenance == {"source": "own", "around": "the documents of others (source others)"}


def test_a_document_that_both_have_is_the_collection_s_own():
    both = surrounded(stream("own", "a", "b"), stream("others", "b", "c"))
    assert [document.text for document in both.documents()] == ["a of own", "b of own", "c of others"]


def test_entities_are_those_of_the_document_that_is_kept():
    own = dataclasses.replace(stream("own", "a", "b"), entities={"a": ("A",)})
    others = dataclasses.replace(stream("others", "b", "c"), entities={"b": ("other B",), "c": ("C",)})
    assert surrounded(own, others).entities == {"a": ("A",), "c": ("C",)}


def test_a_subset_keeps_the_judged_documents_among_the_others():
    both = surrounded(stream("own", "a", "b", judged="b"), stream("others", *map(str, range(50))))
    kept = {document.doc_id for document in subset(both, 10, seed=0).documents()}
    assert len(kept) == 10
    assert "b" in kept


@pytest.fixture
def folders(tmp_path):
    write_folder(tmp_path / "own", [Document(f"d{i}", text, text) for i, text in enumerate(TEXTS)], TEXTS)
    (tmp_path / "others").mkdir()
    (tmp_path / "others/documents.jsonl").write_text('{"doc_id": "further", "text": "a further one"}\n')
    return tmp_path


def prepared(folders, **corpus):
    run = Run(
        over(small_experiment(corpus=CorpusConfig(validation_queries=5, test_queries=5, **corpus)), folders / "own"),
        folders / "run",
    )
    prepare(run)
    return run


def test_a_run_has_the_others_documents_after_its_own(folders):
    run = prepared(folders, around=str(folders / "others"))
    assert run.doc_ids == [*(f"d{i}" for i in range(len(TEXTS))), "further"]
    assert len(run.corpus.queries) == len(TEXTS)


def test_documents_around_are_read_again_when_they_change(folders):
    stored = prepared(folders, around=str(folders / "others")).paths.corpus
    before = current_fingerprint(stored)
    with (folders / "others/documents.jsonl").open("a") as file:
        file.write('{"doc_id": "one-more", "text": "of them"}\n')
    assert len(prepared(folders, around=str(folders / "others")).doc_ids) == len(TEXTS) + 2
    assert current_fingerprint(stored) != before


def test_without_any_the_corpus_is_that_of_versions_before_there_were_any(folders):
    """Their fingerprint was of the settings without this one."""
    run = prepared(folders)
    config = run.experiment.corpus
    settings = {field: value for field, value in vars(config).items() if field != "around"}
    before = fingerprint_of([{"kind": "CorpusConfig"} | settings, source_fingerprint(config.source), None])
    assert current_fingerprint(run.paths.corpus) == before
