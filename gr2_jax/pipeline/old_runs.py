"""Lists that the table no longer reads go to runs/old/<row>-<fingerprint>/, so that those beside it are the table's."""

import hashlib
import os
import re
from collections.abc import Collection
from pathlib import Path

from gr2_jax.buckets import push
from gr2_jax.errors import UserError
from gr2_jax.files import put_in_place, reading
from gr2_jax.hosts import is_first
from gr2_jax.pipeline.run import PARTS
from gr2_jax.pipeline.stage import STAGE_FILE, current_fingerprint
from gr2_jax.pipeline.workdir import Workdir

UNFINISHED = (".partial", ".old")
"""Endings of the folders that a stage leaves when it is killed."""


def put_away(paths: Workdir, row: str) -> None:
    """Moves runs/<row>/ and the row's values per query, metrics/<part>/<row>.json, to runs/old/<row>-<fingerprint>/,
    where the same lists may be from before. A folder that no stage made stays where it is."""
    directory = paths.runs / row
    if not (directory / STAGE_FILE).is_file():
        return
    for part in PARTS:  # first, so that a kill leaves them with their lists
        if (scores := _scores(paths, part, row)).is_file():
            os.replace(scores, directory / f"{part}.json")
    old = paths.old_run(row, _fingerprint(directory))
    old.parent.mkdir(parents=True, exist_ok=True)
    put_in_place(directory, old)
    push(old)  # before the bucket's lists are replaced
    push(paths.metrics)


def put_away_others(paths: Workdir, lists: Collection[str], scores: Collection[str]) -> None:
    """Puts away the lists of every row but those named in `lists`, and the values per query of every row but those
    named in `scores`; of values without lists the fingerprint is that of the file."""
    if not is_first():
        return
    for directory in _inside(paths.runs):
        if directory.is_dir() and directory.name not in lists and not directory.name.endswith(UNFINISHED):
            put_away(paths, directory.name)
    for part in PARTS:
        for file in _inside(paths.metrics / part):
            if file.suffix == ".json" and file.stem not in scores:
                with reading(file):
                    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
                old = paths.old_run(file.stem, digest)
                old.mkdir(parents=True, exist_ok=True)
                os.replace(file, old / f"{part}.json")
                push(old)


def _scores(paths: Workdir, part: str, row: str) -> Path:
    return paths.metrics / part / f"{row}.json"


def _inside(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _fingerprint(directory: Path) -> str:
    try:
        found = current_fingerprint(directory)
    except UserError:
        found = ""
    return found if re.fullmatch("[0-9a-f]{16}", found) else "damaged"
