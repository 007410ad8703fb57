"""A row of a sentence encoder: its lists are those of a plain loop over its vectors, and no other run's."""

import shutil

import numpy as np
import pytest
from small_collection import TEXTS, over, small_experiment, write_folder
from tiny_encoder import write_encoder

from gr2_jax import open_retriever
from gr2_jax.array_files import GrowingArray
from gr2_jax.corpus import read_run
from gr2_jax.corpus.collection import Document
from gr2_jax.errors import UserError
from gr2_jax.files import read_json
from gr2_jax.pipeline.checks import check
from gr2_jax.pipeline.open_run import open_row
from gr2_jax.pipeline.rows import BM25Row, EncoderRow
from gr2_jax.pipeline.rows.training import VECTORS
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.search import text_encoder
from gr2_jax.search.text_encoder import TextEncoder


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The collection's folder, and the encoder's."""
    folder = tmp_path_factory.mktemp("corpus")
    write_folder(folder, [Document(f"d{i}", text.title(), text) for i, text in enumerate(TEXTS)], TEXTS)
    return folder, write_encoder(tmp_path_factory.mktemp("encoder"))


def experiment_of(places, **settings):
    corpus, encoder = places
    row = EncoderRow(encoder=str(encoder), document_prefix="sort ", query_prefix="root ", **settings)
    return over(small_experiment(rows=(row, BM25Row())), corpus)


@pytest.fixture(scope="module")
def finished(places, tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    run_experiment(experiment_of(places), root)
    return root


def test_its_vectors_are_read_and_written_part_by_part(places, finished, tmp_path, monkeypatch):
    encoder, run = TextEncoder.load(places[1]), Run(experiment_of(places), finished)
    expected = encoder.encode([f"sort {document.contents}" for document in run.corpus.documents])
    written, append = [], GrowingArray.append

    def noting(array, values):
        written.append(len(values))
        append(array, values)

    monkeypatch.setattr(GrowingArray, "append", noting)
    monkeypatch.setattr(text_encoder, "_SLICE", 16)
    (row, _) = run.rows
    write, _ = row._opened(run)
    done = []
    write(tmp_path, range(len(TEXTS)), done.append)
    assert written == [16, 16, 16, 12]
    assert sum(done) == len(TEXTS)
    stored = (finished / "vectors" / "Encoder" / "vectors.npy").read_bytes()
    assert (tmp_path / VECTORS).read_bytes() == stored
    assert stored[-expected.nbytes :] == expected.tobytes()


def test_its_lists_are_those_of_a_plain_loop(places, finished):
    encoder = TextEncoder.load(places[1])
    run, found = Run(experiment_of(places), finished), read_run(finished / "runs" / "Encoder" / "test.trec")
    documents = encoder.encode([f"sort {document.contents}" for document in run.corpus.documents])
    for query, text in run.queries("test").items():
        scores = documents.astype(np.float64) @ encoder.encode([f"root {text}"])[0]
        best = sorted(range(len(scores)), key=lambda row: (-round(scores[row], 5), row))[:5]
        listed = found[query][:5]
        np.testing.assert_allclose([score for _, score in listed], scores[best], atol=1e-5)


def test_it_is_opened_and_says_nothing_of_docids(places, finished):
    opened = open_retriever(finished, row="Encoder")
    (hits,) = opened.search(["sort array"], 3)
    assert len(hits) == 3
    assert all(hit.proven and hit.docid == "" for hit in hits)
    costs = read_json(finished / "runs" / "Encoder" / "cost.json")
    assert costs["model_mb"] == opened.searcher.model_bytes / 1e6 > 0
    assert "train_seconds" not in costs
    with pytest.raises(UserError, match="leave --step out"):
        open_row(finished, "Encoder", step=3)


def test_the_vectors_are_made_once_and_anew_for_other_weights(places, finished, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    made = root / "vectors" / "Encoder" / "vectors.npy"
    before = made.stat().st_mtime_ns
    run_experiment(experiment_of(places), root)
    assert made.stat().st_mtime_ns == before
    moved = write_encoder(tmp_path / "moved")  # the same weights in another place
    run_experiment(experiment_of((places[0], moved)), root)
    assert made.stat().st_mtime_ns == before
    other = write_encoder(tmp_path / "other", seed=1)
    run_experiment(experiment_of((places[0], other)), root)
    assert made.stat().st_mtime_ns != before


def test_what_cannot_work_is_said_before_the_work_begins(places, tmp_path):
    with pytest.raises(UserError, match=r"EncoderRow\.encoder is empty"):
        EncoderRow()
    with pytest.raises(UserError, match=r"EncoderRow\.length is 1"):
        EncoderRow(encoder="x", length=1)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match=r"config\.json"):
        check(Run(experiment_of((places[0], empty)), tmp_path / "run"))
    assert not Workdir(tmp_path / "run").root.exists()


def test_without_its_vectors_a_search_says_what_to_do(places, finished, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    shutil.rmtree(root / "vectors")
    with pytest.raises(UserError, match="no vectors of its documents yet"):
        open_retriever(root, row="Encoder")
