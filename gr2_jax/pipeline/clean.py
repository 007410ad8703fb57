"""What a workdir holds that no row of its table, no search and no resumed run needs, and its removal."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gr2_jax import buckets
from gr2_jax.errors import UserError
from gr2_jax.files import writing
from gr2_jax.lock import holding
from gr2_jax.pipeline.old_runs import UNFINISHED
from gr2_jax.pipeline.open_run import read_record, recorded_run
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.plain_queries import generator_of
from gr2_jax.pipeline.schemes.pseudo_queries import PseudoQueries
from gr2_jax.pipeline.stage import STAGE_FILE
from gr2_jax.pipeline.workdir import Workdir

_WHY = {
    "checkpoints": "a training that no row of the table has",
    "searched": "an interrupted search of other settings",
    **dict.fromkeys(("vectors", "similarities", "weights", "negatives"), "of no row of the table"),
    **dict.fromkeys(("docids", "quality", "candidates"), "of no docid scheme of the run"),
    "pieces": "texts that are joined, or vectors of no row of the table",
}
"""Folder of a workdir -> what those of its folders are that are not needed."""
_STAGES = ("corpus", "vocabulary", "examples", "generated")
_BY_FINGERPRINT = re.compile(r".+-[0-9a-f]{16}(\.partial)?")
_FINGERPRINT = re.compile("[0-9a-f]{16}")
_SEED_OR_FOLD = re.compile("(seed|fold)-[0-9]+")
_HALF_SAVED = ".orbax-checkpoint-tmp"  # in the name of a checkpoint that was being saved when its process was killed


class Leftover(NamedTuple):
    """A folder that nothing needs: where, the bytes of its files, and what it is."""

    path: Path
    size: int
    why: str


def clean(directory: str | os.PathLike, *, remove: bool) -> list[Leftover]:
    """What can be freed in a run's workdir, and in those of its seeds and folds; with `remove` it is gone.

    Needed are the trainings that config.json names for the table's rows, what was made of them, the docids' models of
    the present settings, and what interrupted work of the present settings goes on from. Raises `UserError` where there
    is no run, or while a job is at work in one of the workdirs.
    """
    if buckets.is_in_bucket(directory) and _SEED_OR_FOLD.fullmatch(str(directory).rstrip("/").rpartition("/")[2]):
        raise UserError(f"{directory} is one of several workdirs of a run: give that of the run")
    root = buckets.local_copy(directory, workdir=True)
    read_record(Workdir(root))  # a folder that is no run's gets no lock
    runs = [root, *_seeds_and_folds(root)]
    with ExitStack() as held:
        for run in [*_runs_around(root), *runs]:
            held.enter_context(holding(run))
        found = [Leftover(path, _size(path), why) for run in runs for path, why in _unneeded(Workdir(run))]
        for leftover in found if remove else ():
            _remove(leftover.path)
    return found


def _seeds_and_folds(root: Path) -> Iterator[Path]:
    """The workdirs in this one; those of a seed have folds, too."""
    for directory in _folders(root):
        if _SEED_OR_FOLD.fullmatch(directory.name) and Workdir(directory).config.is_file():
            yield directory
            yield from _seeds_and_folds(directory)


def _runs_around(root: Path) -> list[Path]:
    """The workdirs that this one is a seed or a fold of: a job there works here, too."""
    root = root.resolve()
    if not _SEED_OR_FOLD.fullmatch(root.name) or not Workdir(root.parent).config.is_file():
        return []
    return [*_runs_around(root.parent), root.parent]


def _unneeded(paths: Workdir) -> Iterator[tuple[Path, str]]:
    """The folders of one workdir, and what they are."""
    record = read_record(paths)
    run, several = recorded_run(paths, record), next((name for name in ("seeds", "folds") if record.get(name)), None)
    needed = {} if several else _needed(run)  # seeds and folds have their own models
    for folder, why in _WHY.items():
        for path in _folders(paths.root / folder):
            if path.name not in needed.get(folder, ()) and _is_of_a_run(path, folder):
                yield path, why
            elif folder == "checkpoints":
                yield from ((half, "unfinished") for half in _folders(path) if _HALF_SAVED in half.name)
    if any(_folders(paths.old_runs)):
        yield paths.old_runs, "lists that the table no longer reads"
    stages = [paths.root / name for name in _STAGES]
    unfinished = {stage.with_name(stage.name + ending) for stage in stages for ending in UNFINISHED}
    unfinished |= {path for path in _folders(paths.runs) if path.name.endswith(UNFINISHED)}
    rows = {paths.runs / row.name for row in run.rows}
    yield from ((path, "unfinished") for path in sorted(unfinished - rows) if path.is_dir())
    if several:
        merged = {"seeds": None, "folds": paths.corpus}[several]  # the judgements of all folds
        left = (stage for stage in stages if stage != merged and (stage / STAGE_FILE).is_file())
        yield from ((stage, f"of a run without {several}") for stage in left)


def _is_of_a_run(path: Path, folder: str) -> bool:
    """Whether a stage made the folder, or began to; others may have been put here by hand."""
    if folder in ("checkpoints", "searched"):
        return _BY_FINGERPRINT.fullmatch(path.name) is not None
    if folder == "pieces":
        return any(_FINGERPRINT.fullmatch(each.name) for each in (path, *_folders(path)))
    return folder == "candidates" or path.name.endswith(UNFINISHED) or (path / STAGE_FILE).is_file()


def _needed(run: Run) -> dict[str, set[str]]:
    """Folder of the workdir -> the names in it that are needed."""
    paths, rows = run.paths, {row.name for row in run.rows}
    schemes = {scheme.name: scheme for scheme in run.experiment.docids.schemes}
    writers = schemes.copy()
    if (generator := generator_of(run.experiment)) is not None:
        writers[generator.name] = generator
    trainings = {paths.checkpoints(row, made).name for row, made in run.trainings.items() if row in rows}
    for name, writer in writers.items():
        if isinstance(writer, PseudoQueries):
            model = partial(paths.checkpoints, f"docids-{name}")
            trainings |= _with_fingerprint(model, partial(writer.training_fingerprint, run))
    searches = set()
    for row in run.rows:
        searches |= _with_fingerprint(partial(paths.searched, row.name), partial(row.fingerprint, run))
    of_rows = dict.fromkeys(("vectors", "similarities", "weights", "negatives"), rows)
    of_schemes = {"docids": set(schemes), "quality": set(schemes), "candidates": set(writers)}
    unjoined = set() if (paths.examples / STAGE_FILE).is_file() else {path.name for path in _folders(paths.pieces)}
    return {"checkpoints": trainings, "searched": searches, "pieces": rows | unjoined, **of_rows, **of_schemes}


def _with_fingerprint(place: Callable[[str], Path], fingerprint: Callable[[], str]) -> set[str]:
    """The name of the folder with the present fingerprint; where that cannot be told, those with any fingerprint."""
    try:
        return {place(fingerprint()).name}
    except UserError:
        start = place("")
        return {path.name for path in _folders(start.parent) if path.name.startswith(start.name)}


def _folders(directory: Path) -> list[Path]:
    """The folders in a folder, without links, and those in its bucket; none where it does not exist."""
    here = directory.iterdir() if directory.is_dir() else ()
    found = {path for path in here if path.is_dir() and not path.is_symlink()}
    return sorted(found | {directory / name for name in buckets.folders(directory)})


def _size(directory: Path) -> int:
    if buckets.url_of(directory) is not None and (size := buckets.size_of(directory)):
        return size
    return sum(os.lstat(os.path.join(place, name)).st_size for place, _, names in os.walk(directory) for name in names)


def _remove(path: Path) -> None:
    """On disk it is renamed first: to a later run, half a training must not look like one that is done."""
    if buckets.url_of(path) is not None:
        buckets.remove_folder(path)
        return
    going = path if path.name.endswith(UNFINISHED) else path.with_name(f"{path.name}.partial")
    if not path.exists():  # an earlier removal's rest, which went when the folder took its name
        return
    with writing(path):
        if going != path:
            shutil.rmtree(going, ignore_errors=True)
            os.replace(path, going)
        shutil.rmtree(going)
