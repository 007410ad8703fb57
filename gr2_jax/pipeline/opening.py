"""Opening what a run left, from its directory alone: which experiment it is, and a retriever of one of its rows."""

import os
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from gr2_jax.config import DenseRow, Experiment, System, ViewsRow
from gr2_jax.errors import UserError, nearest
from gr2_jax.evaluation.searcher import Searcher
from gr2_jax.evaluation.views import Views
from gr2_jax.pipeline.dense_index import load_dense
from gr2_jax.pipeline.prepare import load_tokenizer
from gr2_jax.pipeline.trained import load_retriever, what_lies_there
from gr2_jax.settings import experiment_from_json
from gr2_jax.training.checkpoints import checkpoint_steps
from gr2_jax.workdir import Workdir, read_json


class OpenRun(NamedTuple):
    experiment: Experiment
    workdir: Workdir
    trained: dict[str, str]
    """System -> the fingerprint in the name of its checkpoints."""


def open_run(path: str | os.PathLike) -> OpenRun:
    """Reads config.json of a run; `UserError` where there is none, or one of several folds."""
    workdir = Workdir(Path(path))
    if not workdir.config.is_file():
        raise UserError(f"{workdir.root} holds no run (no config.json): make one with `gr2 quickstart --workdir ...`")
    record = read_json(workdir.config)
    if "experiment" not in record:
        raise UserError(f"{workdir.config} is not a run's: give the workdir of a run")
    if record.get("folds"):
        raise UserError(f"{workdir.root} has a model per fold: name one, {workdir.root / 'fold-0'}")
    return OpenRun(experiment_from_json(record["experiment"]), workdir, record.get("trained", {}))


class Opened(NamedTuple):
    retriever: Searcher
    system: str
    models: dict[str, dict[str, str | int]]
    """Of each model that it reads: the fingerprints of its training, vocabulary and docids, and the checkpoint's
    step."""


def open_retriever(path: str | os.PathLike, system: str | None = None, *, step: int | None = None) -> Opened:
    """What searches for a run's row `system`, by default the first of its config, with the checkpoint of `step`, by
    default the newest. A system that is still in training has checkpoints, too."""
    run = open_run(path)
    retrieval = run.experiment.retrieval
    rows = {row.name: row for row in (*retrieval.systems, *retrieval.views, *retrieval.dense)}
    if not rows:
        raise UserError(f"{run.workdir.root} trains nothing: its config has no systems")
    system = next(iter(rows)) if system is None else system
    if system not in rows:
        raise UserError(f"{run.workdir.root} has no system '{system}': {nearest(system, rows)}")
    row = rows[system]
    if step is not None and isinstance(row, ViewsRow):
        raise UserError(f"{system} reads several models, which have no step in common: leave --step out")
    if isinstance(row, DenseRow):
        return _open_dense(run, row, step)
    models = {name: _model(run, rows[name], step) for name in (row.systems if isinstance(row, ViewsRow) else [system])}
    retrievers = tuple(
        load_retriever(run.experiment, run.workdir, rows[name], model["training"], step=model["step"])
        for name, model in models.items()
    )
    return Opened(Views(retrievers) if isinstance(row, ViewsRow) else retrievers[0], system, models)


def _model(run: OpenRun, system: System, step: int | None) -> dict[str, str | int]:
    train_print = _train_print(run, system.name)
    at = _newest_step(run.workdir.checkpoints(f"{system.name}-{train_print}")) if step is None else step
    return {"training": train_print, "step": at, **what_lies_there(run.experiment, run.workdir, system)}


def _open_dense(run: OpenRun, row: DenseRow, step: int | None) -> Opened:
    if step is not None:
        raise UserError(f"{row.name} keeps its documents' vectors of the last step alone: leave --step out")
    train_print = _train_print(run, row.name)
    index = load_dense(run.experiment, run.workdir, row.name, train_print)
    at = _newest_step(run.workdir.checkpoints(f"{row.name}-{train_print}"))
    vocabulary = load_tokenizer(run.experiment, run.workdir).fingerprint
    return Opened(index, row.name, {row.name: {"training": train_print, "step": at, "vocabulary": vocabulary}})


def _train_print(run: OpenRun, name: str) -> str:
    return run.trained.get(name) or _in_training(run.workdir, name)


def _newest_step(directory: Path) -> int:
    """As the first process sees it: a training that goes on may leave another while the others look."""
    newest = checkpoint_steps(directory)[-1:]
    if jax.process_count() > 1:
        newest = multihost_utils.broadcast_one_to_all(np.array(newest or [-1]))
        newest = [int(step) for step in newest if step >= 0]
    if not newest:
        raise UserError(f"there is no whole checkpoint in {directory}: train first")
    return newest[0]


def _in_training(workdir: Workdir, system: str) -> str:
    """The fingerprint of the youngest checkpoints of a system whose training has not ended."""
    # a fingerprint has 16 digits; `GR2S-*` alone would also be GR2S-fusion's
    found = sorted(workdir.checkpoints("").glob(f"{system}-{'[0-9a-f]' * 16}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(f"{system} is not trained yet in {workdir.root}: run the same command again to finish it")
    return found[-1].name[-16:]
