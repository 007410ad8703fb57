"""The LSA vectors of a large collection: of any number of workers and any blocks the same bytes, those of the texts."""

import numpy as np
import pytest

from gr2_jax.array_files import load_arrays
from gr2_jax.data.lsa import token_semantics
from gr2_jax.data.token_files import token_writer
from gr2_jax.errors import UserError
from gr2_jax.pipeline import lsa_vectors
from gr2_jax.pipeline.lsa_vectors import SEMANTICS, write_semantics, write_vectors
from gr2_jax.pipeline.workers import in_workers

DOCUMENTS, VOCABULARY, FEATURES = 41, 60, 7
WITHOUT_JAX = "__import__('gr2_jax.pipeline.lsa_vectors') and 'jax' in __import__('sys').modules"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A folder with the tokens of 41 documents, one of them empty, of a further passage, and their semantics."""
    folder, rng = tmp_path_factory.mktemp("stored"), np.random.default_rng(0)
    texts = [rng.integers(2, VOCABULARY, rng.integers(1, 30)).tolist() for _ in range(DOCUMENTS + 1)]
    texts[5] = []
    with token_writer(folder, "documents", ids=VOCABULARY) as writer:
        writer.add(texts, [*range(DOCUMENTS), 3])
    semantics = token_semantics(texts, VOCABULARY, features=FEATURES, seed=0)
    write_semantics(folder, semantics)
    return folder, semantics.document_vectors[:DOCUMENTS]


@pytest.fixture(scope="module")
def expected(stored, tmp_path_factory):
    """What one process writes that reads all documents at once."""
    path = tmp_path_factory.mktemp("one") / "vectors.npy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GR2_WORKERS", "1")
        write_vectors(stored[0], DOCUMENTS, path)
    return path.read_bytes()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_and_any_blocks_write_the_same_bytes(stored, expected, monkeypatch, tmp_path, workers):
    monkeypatch.setenv("GR2_WORKERS", str(workers))
    monkeypatch.setattr(lsa_vectors, "BLOCK", 4 + workers)
    write_vectors(stored[0], DOCUMENTS, tmp_path / "vectors.npy")
    assert (tmp_path / "vectors.npy").read_bytes() == expected


def test_they_are_the_vectors_of_the_decomposition(stored, monkeypatch, tmp_path):
    monkeypatch.setenv("GR2_WORKERS", "1")
    write_vectors(stored[0], DOCUMENTS, tmp_path / "vectors.npy")
    found = np.load(tmp_path / "vectors.npy")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, stored[1], rtol=0, atol=2e-6)


def test_semantics_that_were_made_anew_are_read(stored, expected, monkeypatch, tmp_path):
    """In the same folder by the same process, as where a run is repeated with other settings."""
    monkeypatch.setenv("GR2_WORKERS", "1")
    folder = tmp_path / "stored"
    folder.mkdir()
    for file in stored[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    write_vectors(folder, DOCUMENTS, tmp_path / "vectors.npy")
    arrays = load_arrays(folder / SEMANTICS, {"token_vectors": 2, "log_idf": 1})
    np.savez(folder / SEMANTICS, token_vectors=arrays["token_vectors"] * 2, log_idf=arrays["log_idf"])
    write_vectors(folder, DOCUMENTS, tmp_path / "twice.npy")
    assert (tmp_path / "vectors.npy").read_bytes() == expected
    np.testing.assert_allclose(np.load(tmp_path / "twice.npy"), np.load(tmp_path / "vectors.npy") / 2, rtol=1e-6)


def test_workers_make_them_without_jax(monkeypatch):
    monkeypatch.setenv("GR2_WORKERS", "2")
    assert list(in_workers(eval, [WITHOUT_JAX])) == [False]


def test_a_damaged_file_is_named_by_the_worker_that_reads_it(stored, monkeypatch, tmp_path):
    monkeypatch.setenv("GR2_WORKERS", "2")
    folder = tmp_path / "stored"
    folder.mkdir()
    for file in stored[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    path = folder / "documents.tokens.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(UserError, match=r"documents\.tokens\.npy is damaged"):
        write_vectors(folder, DOCUMENTS, tmp_path / "vectors.npy")
    assert not (tmp_path / "vectors.npy").exists()
