"""What a run trains on: a sample of the documents, few of the queries, and queries that a model wrote."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from small_collection import TEXTS, over, retrieval, small_experiment

from gr2_jax.corpus import Collection, Document, write_collection
from gr2_jax.data.lsa import token_semantics
from gr2_jax.data.seqio.tasks import materialise, register_task
from gr2_jax.data.vocabulary import MODEL_NAME
from gr2_jax.errors import UserError
from gr2_jax.experiment import AugmentationConfig, BatchConfig, CorpusConfig, ModelConfig, OptimiserConfig
from gr2_jax.pipeline import large, prepare
from gr2_jax.pipeline.checks import check
from gr2_jax.pipeline.rows import BM25Row, baselines
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes import PlainQueries, Titles
from gr2_jax.pipeline.schemes.plain_queries import generator_of
from gr2_jax.pipeline.stages import run_experiment

SCRATCH = ModelConfig(dropout_rate=0.0)
WRITER = PlainQueries(
    model=dataclasses.replace(SCRATCH, num_encoder_layers=1),
    optimiser=OptimiserConfig(steps=6),
    pairs=8,
    beams=3,
    document_length=8,
)
EXPERIMENT = small_experiment(
    corpus=CorpusConfig(validation_queries=5, test_queries=5, documents=50, training_queries=12),
    augmentation=AugmentationConfig(generated=2, generator=WRITER),
    retrieval=retrieval(
        optimiser=OptimiserConfig(steps=10, warmup_steps=2, learning_rate=3e-2),
        batch=BatchConfig(queries=8, indexing_texts=4, length=12, shortest_span=2, longest_span=6),
    ),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    documents = [Document(f"d{i}", text.title(), f"{text}. {text} again.") for i, text in enumerate(TEXTS)]
    documents[5] = Document("d5", TEXTS[5].title(), f"{TEXTS[5]}. " * 200)  # longer than what is read of it
    queries = {f"q{i}": f"how to {text}" for i, text in enumerate(TEXTS[:40])}  # the last 20 documents are not judged
    qrels = {f"q{i}": {f"d{i}": 2} | ({f"d{i + 1}": 1} if i % 2 else {}) for i in range(39)} | {"q39": {"d39": 2}}
    write_collection(Collection("small", tuple(documents), queries, qrels, {}), folder / "corpus")
    experiment = over(EXPERIMENT, folder / "corpus")
    run_experiment(experiment, folder / "run", until="train")
    return Run(experiment, folder / "run")


def test_the_corpus_is_every_judged_document_and_a_sample_of_the_others(made):
    ids, split = made.doc_ids, made.split
    assert len(ids) == 50
    assert {f"d{i}" for i in range(40)} < set(ids)
    assert len(split.train) == 12
    assert len(split.validation) == len(split.test) == 5
    assert made.examples["queries"].size == 12


def test_seqio_reads_the_same_examples(made):
    """The files of tokens are made without TensorFlow, of the texts that the tasks hold."""
    assert made.examples["documents"].tokens[:].all(axis=1).any()  # a document is cut
    assert made.examples["queries"].grades.all(axis=1).any()
    assert not made.examples["queries"].grades.all()  # and queries have lists of different lengths
    for name, arrays in made.examples.items():
        path, extra_ids = made.paths.examples / f"{name}.tfrecord", made.experiment.vocabulary.extra_ids
        vocabulary = made.paths.vocabulary / MODEL_NAME
        task = register_task(f"training_texts_{name}", path, vocabulary=vocabulary, extra_ids=extra_ids)
        theirs = materialise(task, length=arrays.tokens.shape[1], judged=arrays.grades.shape[1])
        for field, expected in zip(arrays[:3], theirs[:3], strict=True):
            np.testing.assert_array_equal(field[:], expected)


def test_of_a_large_collection_a_sample_is_learnt_from(made, tmp_path, monkeypatch):
    """The vectors of all documents lie in the space of the sample's, and the fingerprints say so."""
    monkeypatch.setattr(large, "LARGE", 20)
    run = Run(made.experiment, tmp_path / "run")
    run.paths.create()
    prepare.prepare(run)
    assert run.examples_fingerprint != made.examples_fingerprint
    sample = np.linspace(0, 49, 20).astype(int)
    texts = [row[row != 0] for row in (*run.document_tokens[sample], *run.examples["queries"].tokens)]
    features = run.semantics.token_vectors.shape[1]
    expected = token_semantics(texts, run.tokenizer.size, features=features, seed=run.experiment.seed)
    np.testing.assert_allclose(run.semantics.token_vectors, expected.token_vectors, rtol=0, atol=1e-6)
    vectors = expected.vectors_of([row[row != 0] for row in run.document_tokens])
    np.testing.assert_allclose(run.semantics.document_vectors, vectors, rtol=0, atol=1e-5)


@pytest.mark.parametrize("missing", ["pseudo.rows.npy", "queries.npz", "document_vectors.npy"])
def test_a_missing_file_is_named_once_with_what_helps(made, tmp_path, missing):
    shutil.copytree(made.paths.root, tmp_path / "run")
    run = Run(made.experiment, tmp_path / "run")
    (run.paths.examples / missing).unlink()
    with pytest.raises(UserError, match=missing) as caught:
        _ = run.examples, run.semantics
    assert str(caught.value).count("to make it again") == 1


def test_a_run_of_an_earlier_version_is_read(made, tmp_path):
    """Its examples are one file, and so are its vectors."""
    old = tmp_path / "run"
    shutil.copytree(made.paths.root, old)
    run = Run(made.experiment, old)
    expected, vectors = run.examples, run.semantics.document_vectors
    arrays = {f"{t}_{f}": getattr(e, f)[:] for t, e in expected.items() for f in ("tokens", "docid_rows", "grades")}
    semantics = {name: np.array(values) for name, values in run.semantics._asdict().items()}
    for path in run.paths.examples.glob("*.np[yz]"):
        path.unlink()
    np.savez(run.paths.examples / "examples.npz", **arrays)
    generated = {name: np.array(getattr(run.generated, name)[:]) for name in ("tokens", "docid_rows", "grades")}
    for path in run.paths.generated.glob("*.npy"):
        path.unlink()
    np.savez(run.paths.generated / "queries.npz", **generated)
    (run.paths.generated / "stage.json").write_text(json.dumps({"fingerprint": run.generated_fingerprint}))
    np.savez(run.paths.examples / "semantics.npz", **semantics)
    (run.paths.examples / "stage.json").write_text(json.dumps({"fingerprint": run.examples_fingerprint}))
    for name in ("documents.npy", "doc_ids.txt"):
        (run.paths.corpus / name).unlink()
    (run.paths.corpus / "stage.json").write_text(json.dumps({"fingerprint": "older"}))
    again = Run(made.experiment, old)
    assert again.doc_ids == made.doc_ids
    np.testing.assert_array_equal(again.document_tokens, made.document_tokens[:])
    np.testing.assert_array_equal(again.semantics.document_vectors, vectors)
    for name, values in generated.items():
        np.testing.assert_array_equal(getattr(again.generated, name), values)
    for name, found in again.examples.items():
        for field, other in zip(found[:3], expected[name][:3], strict=True):
            np.testing.assert_array_equal(field, other[:])


def test_generated_queries_are_trained_on_and_are_about_their_documents(made):
    before, every = made.examples["pseudo"], made.training_examples["pseudo"]
    after = every.take(np.arange(every.size))
    np.testing.assert_array_equal(after.tokens[: before.size], before.tokens[:])
    written = after.tokens[before.size :]
    rows, times = np.unique(after.docid_rows[before.size :], return_counts=True)
    assert rows.tolist() == list(range(50))
    assert times.max() == 2
    texts = [made.tokenizer.decode(query[query != 0]) for query in written]
    assert len(set(texts)) > 10
    assert (written != 0).sum(axis=1).max() > made.experiment.docids.max_length  # whole queries, not docids
    assert not made.paths.candidates("generated").exists()


def test_bm25_reads_each_document_with_what_is_added_to_it(made, monkeypatch):
    read = []
    monkeypatch.setattr(baselines, "BM25", lambda doc_ids, texts: read.extend(texts))
    BM25Row(training_queries=True, generated_queries=True).open(made)
    expected = {document.doc_id: [document.contents] for document in made.corpus.documents}
    for query in made.split.train:
        judged = made.corpus.qrels[query]
        for doc_id in (doc_id for doc_id, grade in judged.items() if grade == max(judged.values())):
            expected[doc_id].append(made.corpus.queries[query])
    generated = made.generated.take(np.arange(made.generated.size))
    for (row,), tokens in zip(generated.docid_rows, generated.tokens, strict=True):
        expected[made.doc_ids[row]].append(made.tokenizer.decode(tokens[tokens != 0].tolist()))
    assert read == ["\n".join(texts) for texts in expected.values()]


def test_without_them_there_is_no_generator(made):
    plain = Run(dataclasses.replace(made.experiment, augmentation=AugmentationConfig()), made.paths.root)
    assert plain.training_examples["pseudo"].size == made.examples["pseudo"].size
    assert plain.generated_fingerprint is None


@pytest.mark.parametrize(
    ("change", "message"), [({"documents": 0}, "documents is 0"), ({"training_queries": -3}, "-3")]
)
def test_numbers_that_cannot_be_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        CorpusConfig(**change)


def test_a_generator_that_writes_no_queries_is_refused(tmp_path):
    wrong = dataclasses.replace(EXPERIMENT, augmentation=AugmentationConfig(generated=1, generator=Titles()))
    with pytest.raises(UserError, match="generator is Titles: only PlainQueries"):
        check(Run(wrong, tmp_path))


def test_the_generator_that_is_taken_by_default_is_checked_too(tmp_path):
    wide = dataclasses.replace(EXPERIMENT.retrieval, model=ModelConfig(preset="small"))
    other = dataclasses.replace(EXPERIMENT, retrieval=wide, augmentation=AugmentationConfig(generated=1))
    with pytest.raises(UserError, match="must have the same width"):
        check(Run(other, tmp_path))


def test_the_length_of_docids_does_not_train_the_generator_again(made):
    longer = dataclasses.replace(made.experiment, docids=dataclasses.replace(made.experiment.docids, max_length=7))
    prints = [generator_of(e).training_fingerprint(Run(e, made.paths.root)) for e in (made.experiment, longer)]
    assert prints[0] == prints[1]


def test_more_generated_queries_than_beams_are_refused(tmp_path):
    many = dataclasses.replace(EXPERIMENT, augmentation=AugmentationConfig(generated=9, generator=WRITER))
    with pytest.raises(UserError, match="generated is 9: at most 3"):
        check(Run(many, tmp_path))
