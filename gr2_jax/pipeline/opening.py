"""Opening what a run left, from its directory alone: which experiment it is, and a retriever of one of its rows."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from gr2_jax.config import Experiment
from gr2_jax.errors import UserError, nearest
from gr2_jax.evaluation.retriever import Retriever
from gr2_jax.evaluation.views import Views
from gr2_jax.pipeline.trained import load_retriever, load_views
from gr2_jax.settings import experiment_from_json
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


def open_retriever(path: str | os.PathLike, system: str | None = None, *, step: int | None = None) -> Retriever | Views:
    """What searches for a run's row `system`, by default the first of its config, with the checkpoint of `step`, by
    default the newest. A system that is still in training has checkpoints, too."""
    experiment, workdir, trained = open_run(path)
    systems = {s.name: s for s in experiment.retrieval.systems}
    views = {row.name: row for row in experiment.retrieval.views}
    system = next(iter(systems)) if system is None else system
    if system not in {*systems, *views}:
        raise UserError(f"{workdir.root} has no system '{system}': {nearest(system, [*systems, *views])}")
    names = views[system].systems if system in views else [system]
    prints = checkpoint_prints(workdir, trained, names)
    if system in views:
        if step is not None:
            raise UserError(f"{system} reads several models, which have no step in common: leave --step out")
        return load_views(experiment, workdir, views[system], prints)
    return load_retriever(experiment, workdir, systems[system], prints[system], step=step)


def checkpoint_prints(workdir: Workdir, trained: Mapping[str, str], systems: Iterable[str]) -> dict[str, str]:
    """System -> the fingerprint in the name of its checkpoints, also where training has not ended."""
    return {name: trained.get(name) or _in_training(workdir, name) for name in systems}


def _in_training(workdir: Workdir, system: str) -> str:
    """The fingerprint of the youngest checkpoints of a system whose training has not ended."""
    # a fingerprint has 16 digits; `GR2S-*` alone would also be GR2S-fusion's
    found = sorted(workdir.checkpoints("").glob(f"{system}-{'[0-9a-f]' * 16}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(f"{system} is not trained yet in {workdir.root}: run the same command again to finish it")
    return found[-1].name[-16:]
