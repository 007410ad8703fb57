"""Traced programs on disk: when one is found again, and when it is not."""

import errno
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.decoding import SearchResult
from gr2_jax.search import traced_programs
from gr2_jax.search.traced_programs import kept_program

TOKENS = np.arange(6, dtype=np.int32).reshape(2, 3)


@pytest.fixture(autouse=True)
def folder(tmp_path):
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    yield tmp_path / "traced"
    jax.config.update("jax_compilation_cache_dir", before)


class Maker:
    """Makes a program that adds to every token, and counts how often it did."""

    def __init__(self):
        self.made = 0
        self.__qualname__ = "add"

    def __call__(self, added, columns=None):
        self.made += 1

        def add(params, tokens, docids):
            scores = params["a"] * (tokens + added).astype(jnp.float32)
            return SearchResult(tokens + added, scores, tokens > 0, scores[:, 0])

        return jax.jit(add)


@pytest.fixture
def make():
    return Maker()


def run(make, *settings, tokens=TOKENS, **named):
    return kept_program(make, *settings, **named)({"a": np.float32(2)}, tokens, None)


def test_a_later_process_does_not_trace_it_again(make, folder):
    first, again = run(make, 5), run(make, 5)
    assert make.made == 1
    assert len(list(folder.iterdir())) == 1
    for found in (first, again):
        np.testing.assert_array_equal(found.rows, TOKENS + 5)
        np.testing.assert_array_equal(found.scores, 2.0 * (TOKENS + 5))
        assert found.similarities is None


@pytest.mark.parametrize(
    "other",
    [
        lambda make: run(make, 6),
        lambda make: run(make, 5, columns=np.zeros(3, np.int32)),
        lambda make: run(make, 5, tokens=TOKENS[:1]),
        lambda make: run(make, 5, tokens=TOKENS.astype(np.int16)),
    ],
    ids=["a setting", "an array", "a shape", "a type"],
)
def test_anything_else_is_another_program(make, other):
    run(make, 5)
    other(make)
    assert make.made == 2


def test_arrays_are_told_apart_by_their_values(make):
    run(make, 5, columns=np.zeros(3000, np.int32))
    run(make, 5, columns=np.r_[np.zeros(1500, np.int32), 1, np.zeros(1499, np.int32)])
    assert make.made == 2


def test_other_sources_are_another_program(make, monkeypatch):
    run(make, 5)
    monkeypatch.setattr(traced_programs, "_surroundings", lambda: "another version")
    run(make, 5)
    assert make.made == 2


def test_the_sources_are_those_of_the_whole_package():
    told = traced_programs._surroundings()
    assert f"jax {jax.__version__}" in told


def test_a_damaged_file_is_made_again(make, folder):
    run(make, 5)
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    np.testing.assert_array_equal(run(make, 5).rows, TOKENS + 5)
    assert make.made == 2
    run(make, 5)
    assert make.made == 2


def test_without_a_cache_nothing_is_kept(make, folder):
    jax.config.update("jax_compilation_cache_dir", None)
    run(make, 5)
    run(make, 5)
    assert make.made == 2
    assert not folder.exists()


def test_other_settings_of_jax_are_another_program(make):
    program = kept_program(make, 5)
    for precision in (None, "highest"):
        with jax.default_matmul_precision(precision):
            program({"a": np.float32(2)}, TOKENS, None)
    assert make.made == 2


def test_a_full_disk_is_no_fault(make, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    np.testing.assert_array_equal(run(make, 5).rows, TOKENS + 5)


def test_a_folder_that_cannot_be_written_is_no_fault(make, folder):
    folder.write_text("a file")
    np.testing.assert_array_equal(run(make, 5).rows, TOKENS + 5)


def test_those_that_were_not_used_for_longest_are_deleted(make, folder, monkeypatch):
    monkeypatch.setattr(traced_programs, "_KEPT", 2)
    for added in (1, 2, 1, 3):
        run(make, added)
    assert make.made == 3
    run(make, 1)
    assert make.made == 3
    run(make, 2)
    assert make.made == 4
    assert len(list(folder.iterdir())) == 2
