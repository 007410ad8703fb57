"""Opening what a run left, from its directory alone: which experiment it is, and a retriever of one of its rows."""

import os
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from gr2_jax.config import Experiment
from gr2_jax.errors import UserError, nearest
from gr2_jax.evaluation.retriever import Retriever
from gr2_jax.evaluation.views import Views
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
    retriever: Retriever | Views
    system: str
    models: dict[str, dict[str, str | int]]
    """Of each system that it reads: the fingerprints of its training, vocabulary and docids, and the checkpoint's
    step."""


def open_retriever(path: str | os.PathLike, system: str | None = None, *, step: int | None = None) -> Opened:
    """What searches for a run's row `system`, by default the first of its config, with the checkpoint of `step`, by
    default the newest. A system that is still in training has checkpoints, too."""
    experiment, workdir, trained = open_run(path)
    systems = {s.name: s for s in experiment.retrieval.systems}
    views = {row.name: row for row in experiment.retrieval.views}
    system = next(iter(systems)) if system is None else system
    if system not in {*systems, *views}:
        raise UserError(f"{workdir.root} has no system '{system}': {nearest(system, [*systems, *views])}")
    if system in views and step is not None:
        raise UserError(f"{system} reads several models, which have no step in common: leave --step out")
    models = {}
    for name in views[system].systems if system in views else [system]:
        train_print = trained.get(name) or _in_training(workdir, name)
        at = _newest_step(workdir.checkpoints(f"{name}-{train_print}")) if step is None else step
        models[name] = {"training": train_print, "step": at, **what_lies_there(experiment, workdir, systems[name])}
    retrievers = tuple(
        load_retriever(experiment, workdir, systems[name], model["training"], step=model["step"])
        for name, model in models.items()
    )
    return Opened(Views(retrievers) if system in views else retrievers[0], system, models)


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
