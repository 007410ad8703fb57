"""A dense row of the table: its lists are those of a plain loop over what it left, also when it was stopped."""

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
import virtual_devices
from small_collection import TEXTS, over, retrieval, small_experiment, write_folder

from gr2_jax import open_retriever
from gr2_jax.array_files import GrowingArray
from gr2_jax.cli import main
from gr2_jax.corpus import read_run
from gr2_jax.corpus.collection import Document
from gr2_jax.data.batches import GradedBatches
from gr2_jax.errors import UserError
from gr2_jax.experiment import LoopConfig, ModelConfig, OptimiserConfig
from gr2_jax.files import read_json
from gr2_jax.models import T5Config
from gr2_jax.models.bi_encoder import BiEncoder
from gr2_jax.pipeline import evaluate
from gr2_jax.pipeline.checks import check
from gr2_jax.pipeline.prepare import prepare
from gr2_jax.pipeline.rows import BASELINES, DenseRow, dense
from gr2_jax.pipeline.rows.training import VECTORS, write_document_vectors
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import STAGE_FILE
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.workdir import Workdir

STEPS, LENGTH = 30, 6  # the loop looks at the clock every 20 steps
ROW = DenseRow(document_length=LENGTH)
EXPERIMENT = small_experiment(
    retrieval=retrieval(model=ModelConfig(dropout_rate=0.1), optimiser=OptimiserConfig(steps=STEPS, warmup_steps=2)),
    rows=(ROW, *BASELINES),
    loop=LoopConfig(checkpoint_seconds=0.0),
)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_folder(folder, [Document(f"d{i}", text.title(), text) for i, text in enumerate(TEXTS)], TEXTS)
    return over(EXPERIMENT, folder)


@pytest.fixture(scope="module")
def finished(experiment, tmp_path_factory):
    workdir = Workdir(tmp_path_factory.mktemp("run"))
    return workdir, run_experiment(experiment, workdir.root)


def _checkpoints(workdir):
    (directory,) = (workdir.root / "checkpoints").glob("Dense-*")
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
    run = Run(experiment, workdir.root)
    tokenizer, texts = run.tokenizer, [document.contents for document in run.corpus.documents]
    vectors = [_bag_of_words(params, tokens[:LENGTH]) for tokens in tokenizer.encode_batch(texts)]
    found = read_run(workdir.runs / "Dense" / "test.trec")
    assert list(found) == list(run.split.test)
    ids = run.doc_ids
    for query, hits in found.items():
        (tokens,) = tokenizer.encode_batch([run.corpus.queries[query]])
        asked = _bag_of_words(params, tokens)
        cosines = {doc_id: asked @ vector for doc_id, vector in zip(ids, vectors, strict=True)}
        assert len(hits) == len(ids) == len(dict(hits))
        np.testing.assert_allclose([s for _, s in hits], sorted(cosines.values(), reverse=True), atol=1e-5)
        np.testing.assert_allclose([s for _, s in hits], [cosines[d] for d, _ in hits], atol=1e-5)


def test_vectors_are_written_part_by_part_as_those_of_all_documents(tmp_path, monkeypatch):
    model = BiEncoder(T5Config(vocab_size=16, d_model=8, d_kv=4, d_ff=8, num_heads=2, num_encoder_layers=0))
    tokens = np.random.default_rng(0).integers(2, 16, (19, 3))
    params = model.init(jax.random.key(0), tokens)["params"]
    apply = jax.jit(lambda tokens: model.apply({"params": params}, tokens))
    expected = np.concatenate([apply(np.pad(tokens, [(0, 1), (0, 0)])[at : at + 4]) for at in range(0, 20, 4)])[:19]
    asked, written, done, append = [], [], [], GrowingArray.append

    def noting(array, values):
        written.append(len(values))
        append(array, values)

    def blocks():
        for start in range(0, len(tokens), 8):
            assert sum(written) == start  # all that was read before
            asked.append(start)
            yield tokens[start : start + 8]

    monkeypatch.setattr(GrowingArray, "append", noting)
    parts = dense.encoded(partial(dense._encoder(model, params), size=4), blocks(), done.append)
    write_document_vectors(tmp_path, parts, 8)
    assert (tmp_path / VECTORS).read_bytes()[-expected.nbytes :] == expected.tobytes()
    assert np.load(tmp_path / VECTORS).shape == (19, 8)
    assert (asked, written) == ([0, 8, 16], [4, 4, 4, 4, 3])
    assert done == written


def test_the_table_of_a_training_holds_the_first_tokens_of_every_document(experiment, finished, monkeypatch):
    monkeypatch.setattr(dense, "_BLOCK", 7)
    run = Run(experiment, finished[0].root)
    texts = run.tokenizer.encode_batch([document.contents for document in run.corpus.documents])
    table = ROW._documents(run)
    assert table.dtype == np.uint16  # of a vocabulary below 65,536
    assert table.tolist() == [[*text, *[0] * LENGTH][:LENGTH] for text in texts]


def test_the_costs_are_those_of_the_files(experiment, finished):
    workdir, _ = finished
    cost = read_json(workdir.runs / "Dense" / "cost.json")
    vectors = np.load(workdir.vectors("Dense") / VECTORS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 128)
    assert cost["index_mb"] == vectors.size * 4 / 1e6
    embeddings_and_a_norm = (Run(experiment, workdir.root).tokenizer.size + 1) * 128
    assert cost["model_mb"] == embeddings_and_a_norm * 4 / 1e6
    assert cost["train_seconds"] > 0 < cost["test_ms_per_query"]


def test_training_has_taught_it_something(finished):
    workdir, _ = finished
    summary = read_json(workdir.metrics / "summary.json")
    assert summary["Dense"]["nDCG@20"] > 0.8


def test_it_is_searched_as_any_other_row_is(finished, tmp_path, capsys):
    workdir, _ = finished
    for arguments, code in [([], 0), (["--exact", "adaptive"], 2), (["--step", "3"], 2), (["--row", "Dens"], 2)]:
        with pytest.raises(SystemExit) as stop:
            main(["evaluate", str(workdir.root), "-k", "100", "--output", str(tmp_path), *arguments])
        assert stop.value.code == code
    said = capsys.readouterr()
    assert "100.0% of the lists are proven" in said.out
    assert [line.split(": ", 1)[1] for line in said.err.splitlines() if line.startswith("gr2: ")] == [
        "a dense row compares every document, 'exact' is for rows that write docids",
        "Dense has document vectors only for its last step: leave --step out",
        f"{workdir.root} has no row 'Dens': did you mean 'Dense'?",
    ]
    assert (tmp_path / "run.trec").read_bytes() == (workdir.runs / "Dense" / "test.trec").read_bytes()
    facts = read_json(tmp_path / "metrics.json")["provenance"]
    assert (facts["models"]["Dense"]["step"], facts["search"]) == (STEPS, {"batch": 64})
    (first,) = open_retriever(workdir.root).search("how to sort", k=1)
    with pytest.raises(SystemExit):
        main(["search", "how", "to", "sort", "--workdir", str(workdir.root), "-k", "1"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f" 1  {first.score:8.3f}  {first.doc_id}  {first.title}"


def test_a_run_without_rows_cannot_be_searched(experiment, tmp_path):
    run_experiment(dataclasses.replace(experiment, rows=()), tmp_path, until="prepare")
    with pytest.raises(UserError, match="has no rows"):
        open_retriever(tmp_path)


def test_baselines_are_searched_as_any_other_row_is(finished):
    (hits,) = open_retriever(finished[0].root, "BM25").search(["how to sort array dense"], k=3)
    assert len(hits) == 3
    assert all(hit.proven and hit.docid == "" for hit in hits)


def test_a_second_run_does_nothing_again(experiment, finished, monkeypatch):
    workdir, table = finished
    monkeypatch.setattr(dense, "train", None)
    monkeypatch.setattr(evaluate, "search_sharded", None)
    assert run_experiment(experiment, workdir.root) == table


@pytest.mark.parametrize("stop", ["while training", "before its vectors"])
def test_a_stopped_row_ends_as_an_undisturbed_one(stop, experiment, finished, tmp_path, monkeypatch):
    workdir = Workdir(tmp_path)
    run = Run(experiment, tmp_path)
    prepare(run)

    def interrupt(*_, **__):
        raise InterruptedError

    batches = GradedBatches.__call__
    with monkeypatch.context() as patch:
        if stop == "while training":

            def until_25(self, step, **hosts):
                return (batches if step != 25 else interrupt)(self, step, **hosts)

            patch.setattr(GradedBatches, "__call__", until_25)
        else:
            patch.setattr(dense, "write_document_vectors", interrupt)
        with pytest.raises(InterruptedError):
            ROW.train(run)
    assert not (workdir.vectors("Dense") / STAGE_FILE).exists()
    ROW.train(run)
    again = np.load(workdir.vectors("Dense") / VECTORS)
    np.testing.assert_array_equal(again, np.load(finished[0].vectors("Dense") / VECTORS))


def test_the_vectors_of_an_earlier_version_are_in_the_folder_of_its_checkpoints(experiment, finished, tmp_path):
    shutil.copytree(finished[0].root, tmp_path / "run")
    old = Workdir(tmp_path / "run")
    (old.vectors("Dense") / VECTORS).rename(_checkpoints(old) / VECTORS)
    shutil.rmtree(old.vectors("Dense"))
    found, expected = (open_retriever(paths.root).search("how to sort", k=5) for paths in (old, finished[0]))
    assert [hit.doc_id for hit in found] == [hit.doc_id for hit in expected]
    ROW.train(Run(experiment, old.root))
    assert not old.vectors("Dense").exists()


@pytest.mark.multiprocess
def test_two_processes_train_it_together_and_search(finished, tmp_path):
    """Two devices in two processes give what one gives, up to the order of sums."""
    (tmp_path / "corpus").mkdir()
    write_folder(tmp_path / "corpus", [Document(f"d{i}", text.title(), text) for i, text in enumerate(TEXTS)], TEXTS)
    config = tmp_path / "small.py"
    config.write_text(
        "from pathlib import Path\nfrom small_collection import over\nfrom test_dense_row import EXPERIMENT\n"
        f"experiment = over(EXPERIMENT, Path({str(tmp_path / 'corpus')!r}))\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free.getsockname()[1]}", "JAX_NUM_PROCESSES": "2"}
    environment = virtual_devices.environment(1) | shared
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), environment["PYTHONPATH"]])
    command = [sys.executable, "-m", "gr2_jax", "run", str(config), "--workdir", str(tmp_path / "run")]
    hosts = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment | {"JAX_PROCESS_ID": str(i)})
        for i in range(2)
    ]
    try:
        said = [host.communicate(timeout=240)[1] for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    assert [host.returncode for host in hosts] == [0, 0], said
    alone, together = (
        read_json(Workdir(root).metrics / "test" / "Dense.json") for root in (finished[0].root, tmp_path / "run")
    )
    assert together.keys() == alone.keys()
    for measure, values in alone.items():
        assert together[measure] == pytest.approx(values, abs=0.02), measure


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: dataclasses.replace(EXPERIMENT, rows=(*EXPERIMENT.rows, DenseRow("LSA"))), "two rows named 'LSA'"),
        (lambda: DenseRow(temperature=0.0), "temperature is 0.0: it must be above 0"),
        (lambda: DenseRow(document_length=0), "document_length is 0: it must be at least 1"),
        (lambda: DenseRow("a/b"), "name is 'a/b'"),
    ],
)
def test_a_row_that_cannot_be_is_refused_when_it_is_written(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()


def test_a_row_without_steps_is_refused(tmp_path):
    with pytest.raises(UserError, match="Dense has no steps to train"):
        check(Run(dataclasses.replace(EXPERIMENT, rows=(DenseRow(steps_factor=0.01),)), tmp_path))
