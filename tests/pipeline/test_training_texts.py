"""What a run trains on: a sample of the documents, few of the queries, and queries that a model wrote."""

import dataclasses

import numpy as np
import pytest
from small_collection import TEXTS

from gr2_jax.corpus import Collection, Document, write_collection
from gr2_jax.errors import UserError
from gr2_jax.experiment.config import (
    BatchConfig,
    CorpusConfig,
    DocidConfig,
    Experiment,
    FusionConfig,
    ModelConfig,
    OptimiserConfig,
    RetrievalConfig,
    System,
    VocabularyConfig,
)
from gr2_jax.pipeline.check import check
from gr2_jax.pipeline.generated_queries import training_examples
from gr2_jax.pipeline.prepare import load_examples, load_tokenizer, read_corpus
from gr2_jax.pipeline.run import run
from gr2_jax.pipeline.stage import Workdir

SCRATCH = ModelConfig(dropout_rate=0.0)
EXPERIMENT = Experiment(
    corpus=CorpusConfig(validation_queries=5, test_queries=5, documents=50, training_queries=12),
    vocabulary=VocabularyConfig(size=80, extra_ids=20),
    docids=DocidConfig(schemes=("title",)),
    fusion=FusionConfig(
        model=dataclasses.replace(SCRATCH, num_encoder_layers=1),
        optimiser=OptimiserConfig(steps=6),
        pairs=8,
        beams=3,
        document_length=8,
    ),
    retrieval=RetrievalConfig(
        model=SCRATCH,
        optimiser=OptimiserConfig(steps=10, warmup_steps=2, learning_rate=3e-2),
        batch=BatchConfig(queries=8, documents=4, length=12, shortest_span=2, longest_span=6, generated=2),
        systems=(System("GR2S", "title"),),
    ),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    documents = [Document(f"d{i}", text.title(), f"{text}. {text} again.") for i, text in enumerate(TEXTS)]
    queries = {f"q{i}": f"how to {text}" for i, text in enumerate(TEXTS[:40])}  # the last 20 documents are not judged
    qrels = {f"q{i}": {f"d{i}": 2} for i in range(40)}
    write_collection(Collection("small", tuple(documents), queries, qrels, {}), folder / "corpus")
    corpus = dataclasses.replace(EXPERIMENT.corpus, source=str(folder / "corpus"))
    experiment, workdir = dataclasses.replace(EXPERIMENT, corpus=corpus), Workdir(folder / "run")
    run(experiment, workdir, until="train")
    return experiment, workdir


def test_the_corpus_is_every_judged_document_and_a_sample_of_the_others(made):
    collection, split = read_corpus(made[1])
    ids = [document.doc_id for document in collection.documents]
    assert len(ids) == 50
    assert {f"d{i}" for i in range(40)} < set(ids)
    assert len(split.train) == 12
    assert len(split.validation) == len(split.test) == 5
    assert load_examples(made[1])["queries"].size == 12


def test_generated_queries_are_trained_on_and_are_about_their_documents(made):
    experiment, workdir = made
    before, after = load_examples(workdir)["pseudo"], training_examples(experiment, workdir)["pseudo"]
    np.testing.assert_array_equal(after.tokens[: before.size], before.tokens)
    written = after.tokens[before.size :]
    rows, times = np.unique(after.docid_rows[before.size :], return_counts=True)
    assert rows.tolist() == list(range(50))
    assert times.max() == 2
    tokenizer = load_tokenizer(experiment, workdir)
    texts = [tokenizer.decode(query[query != 0]) for query in written]
    assert len(set(texts)) > 10
    assert (written != 0).sum(axis=1).max() > experiment.docids.max_length  # whole queries, not docids
    assert not (workdir.root / "candidates" / "generated").exists()


def test_without_them_there_is_no_generator(made):
    experiment, workdir = made
    batch = dataclasses.replace(experiment.retrieval.batch, generated=0)
    plain = dataclasses.replace(experiment, retrieval=dataclasses.replace(experiment.retrieval, batch=batch))
    assert training_examples(plain, workdir)["pseudo"].size == load_examples(workdir)["pseudo"].size


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("corpus", {"documents": 0}, "--corpus.documents is 0"),
        ("corpus", {"training_queries": -3}, "--corpus.training_queries is -3"),
        ("batch", {"generated": 9}, "--retrieval.batch.generated is 9: --fusion.beams"),
    ],
)
def test_numbers_that_cannot_be_are_refused(section, change, message):
    if section == "corpus":
        bad = dataclasses.replace(EXPERIMENT, corpus=dataclasses.replace(EXPERIMENT.corpus, **change))
    else:
        batch = dataclasses.replace(EXPERIMENT.retrieval.batch, **change)
        bad = dataclasses.replace(EXPERIMENT, retrieval=dataclasses.replace(EXPERIMENT.retrieval, batch=batch))
    with pytest.raises(UserError, match=message):
        check(bad)
