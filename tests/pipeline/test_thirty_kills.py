"""A whole run that is killed at random, again and again, ends with the same bytes as an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_collection import TEXTS, write_folder

from gr2_jax.corpus.collection import Document

KILLS = 30
LATEST = 12.0  # seconds after a start has begun to work
CONFIG = """
import sys
sys.path.append({folder!r})
from small_collection import over
from test_damaged_run import RICH
experiment = over(RICH, {collection!r})
"""
TIMED = ("stage.json", "cost.json", "figures.json", "metrics.jsonl")  # they hold seconds


def bytes_of(workdir):
    """Every file that holds no seconds and, of checkpoints, the names alone: they lie in files of random names."""
    files = {path.relative_to(workdir) for path in workdir.rglob("*") if path.is_file()}
    made = {path for path in files if path.parts[0] not in ("checkpoints", "metrics", "report")}
    steps = {path.relative_to(workdir) for path in workdir.glob("checkpoints/*/[0-9]*")}
    return {path: (workdir / path).read_bytes() for path in made if path.name not in TIMED} | dict.fromkeys(steps)


def measures(printed):
    """The table without the columns of time."""
    return [line.split("|")[:-3] for line in printed.splitlines() if line.startswith("|")]


@pytest.mark.slow
def test_thirty_random_kills_over_a_whole_run(tmp_path):
    """SIGKILL at any time from a start's first line on: in reading, vocabulary, examples, docids, trainings, mining,
    vectors, weights, searches, the table. A run that ends before it is killed is compared, and another one begins."""
    luck = random.Random(0)
    documents = [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)]
    write_folder(tmp_path / "collection", documents, TEXTS)
    config = tmp_path / "config.py"
    folder, collection = str(Path(__file__).parent), str(tmp_path / "collection")
    config.write_text(CONFIG.format(folder=folder, collection=collection))
    command = [sys.executable, "-m", "gr2_jax", "run", str(config), "--loop.checkpoint_seconds", "0", "--workdir"]
    calm = tmp_path / "calm"
    undisturbed = subprocess.run([*command, str(calm)], capture_output=True, text=True)
    assert undisturbed.returncode == 0, undisturbed.stderr
    expected = bytes_of(calm)
    assert len(expected) > 30
    kills, where = 0, []
    for number in range(KILLS):
        workdir = tmp_path / f"drill-{number}"
        while True:
            with subprocess.Popen(
                [*command, str(workdir)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            ) as process:
                first = process.stderr.readline()
                try:
                    printed, said = process.communicate(timeout=luck.uniform(0, LATEST) if kills < KILLS else 600)
                except subprocess.TimeoutExpired:
                    os.kill(process.pid, signal.SIGKILL)
                    printed, said = process.communicate()
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, f"{where}\n{first}{said}"
            kills += 1
            where.append(said.strip().rpartition("\n")[2][-60:])
        assert bytes_of(workdir) == expected, where
        assert measures(printed) == measures(undisturbed.stdout), where
        if kills >= KILLS:
            break
    assert kills == KILLS
    assert len(set(where)) > 5, f"the kills hit few places: {where}"
    print("\n".join([f"{number + 1} runs", *where]))
