"""A whole run that is killed at random, again and again, or whose clock goes backwards, ends with the same bytes as an
undisturbed one."""

import sys
from pathlib import Path

import pytest
from kills import bytes_of, calm, struck, struck_often
from small_collection import TEXTS, write_folder

from gr2_jax.corpus.collection import Document

CONFIG = """
import sys
sys.path.append({folder!r})
from small_collection import over
from test_damaged_run import RICH
experiment = over(RICH, {collection!r})
"""


def measures(printed):
    """The table without the columns of time."""
    return [line.split("|")[:-3] for line in printed.splitlines() if line.startswith("|")]


@pytest.fixture
def arguments(tmp_path):
    """Of `gr2`, for a run into the folder `run`."""
    documents = [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)]
    write_folder(tmp_path / "collection", documents, TEXTS)
    config = tmp_path / "config.py"
    folder, collection = str(Path(__file__).parent), str(tmp_path / "collection")
    config.write_text(CONFIG.format(folder=folder, collection=collection))
    return ["run", str(config), "--loop.checkpoint_seconds", "0", "--workdir", "run"]


@pytest.mark.slow
def test_thirty_random_kills_over_a_whole_run(tmp_path, arguments):
    """SIGKILL as some file appears: in the collection, vocabulary, examples, docids, trainings, mining, vectors,
    weights, searches. A whole run writes hundreds of files."""
    command = [sys.executable, "-m", "gr2_jax", *arguments]
    undisturbed = calm(command, tmp_path / "calm")
    expected = bytes_of(tmp_path / "calm" / "run")
    assert len(expected) > 30
    for ended in struck_often(command, tmp_path, kills=30, most=25):
        assert bytes_of(ended.folder / "run") == expected, ended.where
        assert measures(ended.printed) == measures(undisturbed), ended.where
    assert len(set(ended.where)) > 5, f"the kills hit few places: {ended.where}"


BACKWARDS = """
import sys, time
now = time.time() - 86_400
def earlier():
    global now
    now -= 1
    return now
time.time = earlier
from gr2_jax.cli import main
sys.exit(main())
"""


@pytest.mark.slow
def test_a_clock_that_goes_backwards_during_a_run_changes_nothing(tmp_path, arguments):
    """A killed run goes on a day before its files were written, and each time that is asked for is a second earlier."""
    right = [sys.executable, "-m", "gr2_jax", *arguments]
    undisturbed = calm(right, tmp_path / "calm")
    expected = bytes_of(tmp_path / "calm" / "run")
    folder = tmp_path / "backwards"
    folder.mkdir()
    for files in (20, 60, sys.maxsize):
        code, printed, _ = struck([sys.executable, "-c", BACKWARDS, *arguments], folder, files, 0.0)
    assert code == 0, (folder / "stderr").read_text()
    assert bytes_of(folder / "run") == expected
    assert measures(printed) == measures(undisturbed)
