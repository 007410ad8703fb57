"""A whole run that is killed at random, again and again, ends with the same bytes as an undisturbed one."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_collection import TEXTS, write_folder

from gr2_jax.corpus.collection import Document

KILLS = 30
MOST = 25  # files that a start may write before it is killed; a whole run writes hundreds
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


def seen(workdir):
    """Every file as it is now; one that is written again is another one."""
    found = set()
    for folder, _, names in os.walk(workdir):  # passes over a folder that is gone meanwhile
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(os.path.join(folder, name))
                found.add((folder, name, status.st_ino, status.st_mtime_ns))
    return found


def struck(command, folder, files, delay):
    """Starts the run, and kills it so many seconds after it has written so many files. Returns its exit code, what it
    printed and its last line."""
    log = folder / "stderr"
    before = seen(folder / "run")
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        while process.poll() is None and len(seen(folder / "run") - before) < files:
            time.sleep(0.01)
        time.sleep(delay)
        process.kill()
        printed = process.communicate()[0]
    return process.returncode, printed, log.read_text().strip().rpartition("\n")[2][-60:]


def measures(printed):
    """The table without the columns of time."""
    return [line.split("|")[:-3] for line in printed.splitlines() if line.startswith("|")]


@pytest.mark.slow
def test_thirty_random_kills_over_a_whole_run(tmp_path):
    """SIGKILL as some file appears: in the collection, vocabulary, examples, docids, trainings, mining, vectors,
    weights, searches. A run that ends before it is killed is compared, and another one begins."""
    luck = random.Random(0)
    documents = [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)]
    write_folder(tmp_path / "collection", documents, TEXTS)
    config = tmp_path / "config.py"
    folder, collection = str(Path(__file__).parent), str(tmp_path / "collection")
    config.write_text(CONFIG.format(folder=folder, collection=collection))
    command = [sys.executable, "-m", "gr2_jax", "run", str(config), "--loop.checkpoint_seconds", "0"]
    command += ["--workdir", "run"]
    (tmp_path / "calm").mkdir()
    undisturbed = subprocess.run(command, cwd=tmp_path / "calm", capture_output=True, text=True)
    assert undisturbed.returncode == 0, undisturbed.stderr
    expected = bytes_of(tmp_path / "calm" / "run")
    assert len(expected) > 30
    kills, where = 0, []
    while kills < KILLS:
        drill = tmp_path / f"drill-{len(where)}"
        drill.mkdir()
        code = None
        while code != 0:
            files = luck.randint(1, MOST) if kills < KILLS else sys.maxsize
            code, printed, last = struck(command, drill, files, luck.uniform(0, 0.3))
            assert code in (0, -signal.SIGKILL), (where, (drill / "stderr").read_text())
            kills += code != 0
            where.append(last)
            print(f"{kills} kills, code {code}: {last}", flush=True)
        assert bytes_of(drill / "run") == expected, where
        assert measures(printed) == measures(undisturbed.stdout), where
    assert len(set(where)) > 5, f"the kills hit few places: {where}"
