"""A whole run that is killed at random, again and again, ends with the same bytes as an undisturbed one."""

import sys
from pathlib import Path

import pytest
from kills import bytes_of, calm, struck_often
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


@pytest.mark.slow
def test_thirty_random_kills_over_a_whole_run(tmp_path):
    """SIGKILL as some file appears: in the collection, vocabulary, examples, docids, trainings, mining, vectors,
    weights, searches. A whole run writes hundreds of files."""
    documents = [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)]
    write_folder(tmp_path / "collection", documents, TEXTS)
    config = tmp_path / "config.py"
    folder, collection = str(Path(__file__).parent), str(tmp_path / "collection")
    config.write_text(CONFIG.format(folder=folder, collection=collection))
    command = [sys.executable, "-m", "gr2_jax", "run", str(config), "--loop.checkpoint_seconds", "0"]
    command += ["--workdir", "run"]
    undisturbed = calm(command, tmp_path / "calm")
    expected = bytes_of(tmp_path / "calm" / "run")
    assert len(expected) > 30
    for ended in struck_often(command, tmp_path, kills=30, most=25):
        assert bytes_of(ended.folder / "run") == expected, ended.where
        assert measures(ended.printed) == measures(undisturbed), ended.where
    assert len(set(ended.where)) > 5, f"the kills hit few places: {ended.where}"
