"""Vectors of a large collection are made in pieces by all hosts: the bytes of one process that makes none, whoever
makes which piece and whatever was killed or damaged meanwhile."""

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import virtual_devices
from small_collection import TEXTS, over, retrieval, small_experiment, write_folder
from tiny_encoder import write_encoder

from gr2_jax.corpus import Document
from gr2_jax.errors import UserError
from gr2_jax.experiment import EvaluationConfig, OptimiserConfig
from gr2_jax.pipeline import pieces, vector_pieces
from gr2_jax.pipeline.docids import make_docids
from gr2_jax.pipeline.prepare import prepare
from gr2_jax.pipeline.rows import DenseRow, EncoderRow, System, dense
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.vector_pieces import VectorPiece
from gr2_jax.search import docid_vectors, text_encoder

SIZE, OF_EACH_ROW = 16, 4  # of 60 documents: four pieces, the last of twelve documents
ROWS = ("GR2S", "Dense", "Encoder")


def experiment_of(corpus, encoder):
    rows = (System("GR2S", "title"), DenseRow(document_length=6), EncoderRow(encoder=str(encoder)))
    brief = retrieval(optimiser=OptimiserConfig(steps=2, warmup_steps=1))
    asked = EvaluationConfig(vectors="int8", weight=1.0)
    return over(small_experiment(rows=rows, retrieval=brief, evaluation=asked), corpus)


def read_few_at_once(patch):
    """Documents that a model reads in one call, some of which are not of a whole piece's end."""
    patch.setattr(docid_vectors, "_DOCIDS", 4)
    patch.setattr(dense, "_DOCUMENTS_AT_ONCE", 4)
    patch.setattr(dense, "_BLOCK", 8)
    patch.setattr(text_encoder, "_SLICE", 8)


def in_small_pieces(patch):
    read_few_at_once(patch)
    patch.setattr(vector_pieces, "is_large", lambda run: True)
    patch.setattr(vector_pieces, "SIZE", SIZE)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The collection's folder, and the encoder's."""
    folder = tmp_path_factory.mktemp("corpus")
    write_folder(folder, [Document(f"d{i}", text.title(), text) for i, text in enumerate(TEXTS)], TEXTS)
    return folder, write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def finished(places, tmp_path_factory):
    """A run whose vectors were made at once."""
    root = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        read_few_at_once(patch)
        run = Run(experiment_of(*places), root)
        run.paths.create()
        prepare(run)
        run.resume_record()
        make_docids(run, compared=False)
        make(run)
    assert not run.paths.pieces.exists()
    return root


@pytest.fixture
def trained(places, finished, tmp_path):
    """The same run in a folder of its own, without the vectors."""
    shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/vectors")
    return opened(places, tmp_path / "run")


def opened(places, root):
    run = Run(experiment_of(*places), root)
    run.resume_record()
    return run


def files_of(root, row):
    return {path.name: path.read_bytes() for path in (root / "vectors" / row).iterdir()}


def make(run):
    for row in run.rows:
        row.train(run)


@pytest.fixture
def made(monkeypatch):
    """(row, first document) of each piece that this process makes."""
    found, write = [], VectorPiece.write

    def noted(piece, out):
        write(piece, out)
        found.append((piece.path.parents[1].name, piece.start))

    monkeypatch.setattr(VectorPiece, "write", noted)
    in_small_pieces(monkeypatch)
    return found


def all_of(*rows):
    return [(row, start) for row in rows for start in range(0, len(TEXTS), SIZE)]


def test_pieces_change_no_batch_of_a_model():
    for at_once in (docid_vectors._DOCIDS, dense._BLOCK, text_encoder._SLICE):
        assert vector_pieces.SIZE % at_once == 0


def test_docid_vectors_have_scales_here(finished):
    assert {"vectors.npy", "scales.npy", "vectors.json"} < files_of(finished, "GR2S").keys()


def test_pieces_joined_are_the_bytes_of_vectors_made_at_once(finished, trained, made):
    make(trained)
    assert made == all_of(*ROWS)
    for row in ROWS:
        assert files_of(trained.paths.root, row) == files_of(finished, row)
    assert not trained.paths.pieces.exists()
    make(trained)
    assert made == all_of(*ROWS)


def killed(run, monkeypatch, after, where="make"):
    """The vectors of GR2S, killed when a function of its pieces is called once more."""
    calls, own = [], getattr(VectorPiece, where)

    def noted(piece):
        calls.append(piece)
        if len(calls) > after:
            raise KeyboardInterrupt
        return own(piece)

    with monkeypatch.context() as patch:
        patch.setattr(VectorPiece, where, noted)
        with pytest.raises(KeyboardInterrupt):
            run.rows[0].train(run)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_killed_run_makes_the_missing_pieces_alone(places, finished, trained, made, monkeypatch, after):
    killed(trained, monkeypatch, after)
    assert not (trained.paths.vectors("GR2S")).exists()
    assert made == all_of("GR2S")[:after]
    again = opened(places, trained.paths.root)
    again.rows[0].train(again)
    assert made == all_of("GR2S")
    assert files_of(again.paths.root, "GR2S") == files_of(finished, "GR2S")


@pytest.mark.parametrize("name", ["vectors.npy", "scales.npy", "vectors.json", "piece.json"])
def test_a_truncated_piece_is_made_again(places, finished, trained, made, monkeypatch, name):
    killed(trained, monkeypatch, 0, "is_whole")  # all are made, and none joined
    (third,) = trained.paths.pieces.glob("GR2S/*/0000000032-*")
    (third / name).write_bytes((third / name).read_bytes()[:-2])
    made[:] = []
    again = opened(places, trained.paths.root)
    again.rows[0].train(again)
    assert made == [("GR2S", 32)]
    assert files_of(again.paths.root, "GR2S") == files_of(finished, "GR2S")


def test_pieces_of_other_settings_are_not_taken_and_go(places, finished, trained, made, monkeypatch):
    killed(trained, monkeypatch, 3)
    made[:] = []
    asked = dataclasses.replace(trained.experiment.evaluation, vectors="float32")
    other = Run(dataclasses.replace(trained.experiment, evaluation=asked), trained.paths.root)
    other.resume_record()
    other.rows[0].train(other)
    assert made == all_of("GR2S")
    assert not other.paths.pieces.exists()


def test_what_a_kill_left_beside_finished_vectors_goes(places, trained, made, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(vector_pieces, "remove_pieces", lambda directory: None)
        trained.rows[0].train(trained)
    assert len(list(trained.paths.pieces.glob("GR2S/*/*"))) == OF_EACH_ROW
    trained.rows[0].train(trained)
    assert not trained.paths.pieces.exists()


def test_preparing_again_leaves_the_pieces(places, trained, made, monkeypatch):
    killed(trained, monkeypatch, 2)
    again = opened(places, trained.paths.root)
    prepare(again)
    assert len(list(again.paths.pieces.glob("GR2S/*/*"))) == 2


def test_in_a_bucket_hosts_do_not_share(trained, monkeypatch):
    """Each works on a copy of its own there."""
    assert not pieces.hosts_share(trained.paths.root)
    monkeypatch.setattr(pieces, "process_count", lambda: 2)
    assert pieces.hosts_share(trained.paths.root)
    monkeypatch.setattr(pieces, "url_of", lambda path: "gs://bucket/run")
    assert not pieces.hosts_share(trained.paths.root)


def two_hosts(places, root, *words):
    """(exit code, stdout, stderr) of each of two processes with a device each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        job = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free.getsockname()[1]}", "JAX_NUM_PROCESSES": "2"}
    environment = virtual_devices.environment(1) | job | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], *filter(None, sys.path)])
    script = Path(__file__).with_name("vectors_job.py")
    command = [sys.executable, str(script), str(root), *map(str, places), *words]
    hosts = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | {"JAX_PROCESS_ID": str(host)},
        )
        for host in range(2)
    ]
    try:
        printed = [host.communicate(timeout=240) for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    return [(host.returncode, *texts) for host, texts in zip(hosts, printed, strict=True)]


@pytest.mark.multiprocess
def test_two_hosts_make_every_other_piece_each_and_leave_the_bytes_of_one(places, finished, trained):
    hosts = two_hosts(places, trained.paths.root)
    assert [code for code, _, _ in hosts] == [0, 0], hosts
    for host, (_, out, _) in enumerate(hosts):
        said = [line for line in out.splitlines() if line.startswith(ROWS)]
        assert said == [f"{row} {start}" for row in ROWS for start in range(SIZE * host, len(TEXTS), 2 * SIZE)]
    for row in ROWS:
        assert files_of(trained.paths.root, row) == files_of(finished, row)
    assert not trained.paths.pieces.exists()


@pytest.mark.multiprocess
def test_an_error_of_one_host_is_a_sentence_on_all_and_one_process_goes_on(places, finished, trained, made):
    (first, _, said), (second, _, reason) = two_hosts(places, trained.paths.root, "fail")
    assert (first, second) == (2, 2), (said, reason)
    assert said.splitlines()[-1] == "another process of this job cannot do it, and says why"
    assert reason.splitlines()[-1] == "cannot write there: No space left on device"
    make(trained)
    assert made == [("GR2S", 3 * SIZE), *all_of(*ROWS[1:])]
    for row in ROWS:
        assert files_of(trained.paths.root, row) == files_of(finished, row)


def test_an_error_in_a_piece_leaves_no_half_of_it(places, trained, made, monkeypatch):
    def fails(piece, out):
        (out / "vectors.npy").write_bytes(b"half")
        raise UserError("no space")

    monkeypatch.setattr(VectorPiece, "write", fails)
    with pytest.raises(UserError, match="no space"):
        trained.rows[0].train(trained)
    assert [path for path in trained.paths.pieces.rglob("*") if path.is_file()] == []
