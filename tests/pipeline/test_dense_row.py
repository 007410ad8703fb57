"""A dense row of the table: its lists are those of a plain loop over what it left, also when it was stopped."""

import dataclasses

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from small_collection import TEXTS, write_folder

from gr2_jax.cli import main
from gr2_jax.corpus.collection import Document
from gr2_jax.corpus.runs import read_run
from gr2_jax.data.batches import GradedBatches
from gr2_jax.errors import UserError
from gr2_jax.experiment.config import (
    BatchConfig,
    CorpusConfig,
    DenseRow,
    DocidConfig,
    Experiment,
    ModelConfig,
    OptimiserConfig,
    RetrievalConfig,
    VocabularyConfig,
)
from gr2_jax.models import T5Config
from gr2_jax.pipeline import dense, evaluate
from gr2_jax.pipeline.check import check
from gr2_jax.pipeline.dense import train_dense
from gr2_jax.pipeline.dense_index import VECTORS
from gr2_jax.pipeline.prepare import load_tokenizer, prepare, read_corpus
from gr2_jax.pipeline.run import run
from gr2_jax.pipeline.stage import STAGE_FILE, Workdir, read_json
from gr2_jax.search import Retriever
from gr2_jax.training.loop_config import LoopConfig

STEPS, LENGTH = 30, 6  # the loop looks at the clock every 20 steps
ROW = DenseRow(document_length=LENGTH)
EXPERIMENT = Experiment(
    corpus=CorpusConfig(validation_queries=5, test_queries=5),
    vocabulary=VocabularyConfig(size=80, extra_ids=20),
    docids=DocidConfig(schemes=("title",)),
    retrieval=RetrievalConfig(
        model=ModelConfig(dropout_rate=0.1),
        optimiser=OptimiserConfig(steps=STEPS, warmup_steps=2),
        batch=BatchConfig(queries=8, documents=4, length=8, shortest_span=2, longest_span=6),
        systems=(),
        dense=(ROW,),
    ),
    loop=LoopConfig(checkpoint_seconds=0.0),
)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_folder(folder, [Document(f"d{i}", text.title(), text) for i, text in enumerate(TEXTS)], TEXTS)
    return dataclasses.replace(EXPERIMENT, corpus=dataclasses.replace(EXPERIMENT.corpus, source=str(folder)))


@pytest.fixture(scope="module")
def finished(experiment, tmp_path_factory):
    workdir = Workdir(tmp_path_factory.mktemp("run"))
    return workdir, run(experiment, workdir)


def _checkpoints(workdir):
    (directory,) = workdir.checkpoints("").glob("Dense-*")
    return directory


def _bag_of_words(params, tokens):
    words = [params["embedding"]["embedding"][token].astype(np.float64) for token in tokens]
    epsilon = T5Config(vocab_size=1).layer_norm_epsilon
    mean = sum(word / np.sqrt((word**2).mean() + epsilon) for word in words) / len(words)
    mean = mean * params["encoder"]["final_norm"]["scale"]
    return mean / np.sqrt(mean @ mean)


def test_the_lists_are_those_of_a_plain_loop(experiment, finished):
    workdir, table = finished
    assert "| Dense " in table
    with ocp.StandardCheckpointer() as checkpointer:
        params = checkpointer.restore((_checkpoints(workdir) / str(STEPS) / "params").absolute())
    params = jax.tree.map(np.asarray, params)
    tokenizer, (collection, split) = load_tokenizer(experiment, workdir), read_corpus(workdir)
    texts = [document.contents for document in collection.documents]
    vectors = [_bag_of_words(params, tokens[:LENGTH]) for tokens in tokenizer.encode_batch(texts)]
    found = read_run(workdir.runs / "Dense" / "test.trec")
    assert list(found) == list(split.test)
    ids = [document.doc_id for document in collection.documents]
    for query, hits in found.items():
        (tokens,) = tokenizer.encode_batch([collection.queries[query]])
        asked = _bag_of_words(params, tokens)
        cosines = {doc_id: asked @ vector for doc_id, vector in zip(ids, vectors, strict=True)}
        assert len(hits) == len(ids) == len(dict(hits))
        np.testing.assert_allclose([s for _, s in hits], sorted(cosines.values(), reverse=True), atol=1e-5)
        np.testing.assert_allclose([s for _, s in hits], [cosines[d] for d, _ in hits], atol=1e-5)


def test_the_costs_are_those_of_the_files(experiment, finished):
    workdir, _ = finished
    cost = read_json(workdir.runs / "Dense" / "cost.json")
    vectors = np.load(_checkpoints(workdir) / VECTORS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 128)
    assert cost["index_mb"] == vectors.size * 4 / 1e6
    embeddings_and_a_norm = (load_tokenizer(experiment, workdir).size + 1) * 128
    assert cost["model_mb"] == embeddings_and_a_norm * 4 / 1e6
    assert cost["train_seconds"] > 0 < cost["test_ms_per_query"]


def test_training_has_taught_it_something(finished):
    workdir, _ = finished
    summary = read_json(workdir.metrics / "summary.json")
    assert summary["Dense"]["nDCG@20"] > 0.8


def test_it_is_searched_as_any_other_row_is(finished, tmp_path, capsys):
    workdir, _ = finished
    for arguments, code in [([], 0), (["--exact", "adaptive"], 2), (["--step", "3"], 2), (["--system", "Dens"], 2)]:
        with pytest.raises(SystemExit) as stop:
            main(["evaluate", str(workdir.root), "-k", "100", "--output", str(tmp_path), *arguments])
        assert stop.value.code == code
    said = capsys.readouterr()
    assert "100.0% of the lists are proven" in said.out
    assert [line.split(": ", 1)[1] for line in said.err.splitlines() if line.startswith("gr2: ")] == [
        "a dense row compares every document, 'exact' is for rows that write docids",
        "Dense keeps its documents' vectors of the last step alone: leave --step out",
        f"{workdir.root} has no system 'Dens': did you mean 'Dense'?",
    ]
    assert (tmp_path / "run.trec").read_bytes() == (workdir.runs / "Dense" / "test.trec").read_bytes()
    facts = read_json(tmp_path / "metrics.json")["provenance"]
    assert (facts["models"]["Dense"]["step"], facts["search"]) == (STEPS, {"batch": 64})
    (first,) = Retriever.from_workdir(workdir.root).search(["how to sort"], k=1)
    with pytest.raises(SystemExit):
        main(["search", "how", "to", "sort", "--workdir", str(workdir.root), "-k", "1"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f" 1  {first[0].score:8.3f}  {first[0].doc_id}"


def test_a_run_that_trains_nothing_has_nothing_to_search_with(experiment, tmp_path):
    nothing = dataclasses.replace(experiment, retrieval=dataclasses.replace(experiment.retrieval, dense=()))
    workdir = Workdir(tmp_path)
    run(nothing, workdir, until="prepare")
    with pytest.raises(UserError, match="trains nothing: its config has no systems"):
        Retriever.from_workdir(workdir.root)


def test_a_second_run_does_nothing_again(experiment, finished, monkeypatch):
    workdir, table = finished
    monkeypatch.setattr(dense, "train", None)
    monkeypatch.setattr(evaluate, "search_sharded", None)
    assert run(experiment, workdir) == table


@pytest.mark.parametrize("stop", ["while training", "before its vectors"])
def test_a_stopped_row_ends_as_an_undisturbed_one(stop, experiment, finished, tmp_path, monkeypatch):
    workdir = Workdir(tmp_path)
    examples = prepare(experiment, workdir)

    def interrupt(*_, **__):
        raise InterruptedError

    batches = GradedBatches.__call__
    with monkeypatch.context() as patch:
        if stop == "while training":

            def until_25(self, step, **hosts):
                return (batches if step != 25 else interrupt)(self, step, **hosts)

            patch.setattr(GradedBatches, "__call__", until_25)
        else:
            patch.setattr(dense, "write_vectors", interrupt)
        with pytest.raises(InterruptedError):
            train_dense(experiment, workdir, ROW, examples)
    assert not (_checkpoints(workdir) / STAGE_FILE).exists()
    train_dense(experiment, workdir, ROW, examples)
    again = np.load(_checkpoints(workdir) / VECTORS)
    np.testing.assert_array_equal(again, np.load(_checkpoints(finished[0]) / VECTORS))


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (DenseRow(name="LSA"), "system name 'LSA' is taken"),
        (DenseRow(temperature=0.0), "system Dense: temperature is 0.0: it must be a number above 0"),
        (DenseRow(document_length=0), "system Dense: document_length is 0: it must be a number above 0"),
        (DenseRow(steps=0.01), "system Dense has no steps to train"),
    ],
)
def test_a_row_that_cannot_be_trained_is_refused(row, sentence):
    with pytest.raises(UserError, match=sentence):
        check(dataclasses.replace(EXPERIMENT, retrieval=dataclasses.replace(EXPERIMENT.retrieval, dense=(row,))))
