"""Kills a command at random, again and again, and what is compared with a command that was left alone."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TIMED = ("stage.json", "cost.json", "figures.json", "metrics.jsonl")  # they hold seconds


class Ended(NamedTuple):
    """A command that was killed and came to its end: its folder, what it printed at the end, and the last lines of all
    commands until then, killed or not."""

    folder: Path
    printed: str
    where: list[str]


def calm(command: list[str], folder: Path) -> str:
    """Lets the command come to its end in a new folder; what it printed."""
    folder.mkdir()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def struck_often(command: list[str], root: Path, *, kills: int, most: int) -> Iterator[Ended]:
    """Starts the command, which works in the folder `run`, and sends SIGKILL a moment after it has written up to `most`
    files, until it was killed so often. Where it ends before that, another one begins in a folder of its own."""
    luck, done, where = random.Random(0), 0, []
    while done < kills:
        folder = root / f"drill-{len(where)}"
        folder.mkdir()
        code = None
        while code != 0:
            files = luck.randint(1, most) if done < kills else sys.maxsize
            code, printed, last = struck(command, folder, files, luck.uniform(0, 0.3))
            assert code in (0, -signal.SIGKILL), (where, (folder / "stderr").read_text())
            done += code != 0
            where.append(last)
            print(f"{done} kills, code {code}: {last}", flush=True)
        yield Ended(folder, printed, where)


def struck(command: list[str], folder: Path, files: int, delay: float) -> tuple[int, str, str]:
    """Starts the command, and kills it so many seconds after it has written so many files. Returns its exit code, what
    it printed and its last line."""
    log = folder / "stderr"
    before = _seen(folder / "run")
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        while process.poll() is None and len(_seen(folder / "run") - before) < files:
            time.sleep(0.01)
        time.sleep(delay)
        process.kill()
        printed = process.communicate()[0]
    return process.returncode, printed, log.read_text().strip().rpartition("\n")[2][-60:]


def _seen(workdir: Path) -> set[tuple]:
    """Every file as it is now; one that is written again is another one."""
    found = set()
    for folder, _, names in os.walk(workdir):  # passes over a folder that is gone meanwhile
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(os.path.join(folder, name))
                found.add((folder, name, status.st_ino, status.st_mtime_ns))
    return found


def bytes_of(workdir: Path) -> dict[Path, bytes | None]:
    """Every file of a run that holds no seconds and, of checkpoints, the names alone: they lie in files of random
    names."""
    files = {path.relative_to(workdir) for path in workdir.rglob("*") if path.is_file()}
    made = {path for path in files if path.parts[0] not in ("checkpoints", "metrics", "report")}
    steps = {path.relative_to(workdir) for path in workdir.glob("checkpoints/*/[0-9]*")}
    return {path: (workdir / path).read_bytes() for path in made if path.name not in TIMED} | dict.fromkeys(steps)
