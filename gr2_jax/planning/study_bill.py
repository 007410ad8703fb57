"""The chip-hours of a study: the steps of its trainings, each at the time that `gr2 plan` computes for its program."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from gr2_jax.errors import UserError
from gr2_jax.experiment import Experiment
from gr2_jax.experiment.study import Study
from gr2_jax.pipeline.stage import fingerprint_of
from gr2_jax.pipeline.study.plan import DOCIDS, planned
from gr2_jax.planning.bill import fitting
from gr2_jax.planning.plan import Pod, plan_training

Figures = dict[str, Any]


def study_bill(
    study: Study,
    files: Sequence[str],
    settings: Sequence[str],
    load: Callable[[Sequence[str]], Experiment],
    topologies: Sequence[str],
    seeds: Sequence[int],
    *,
    quick: bool,
) -> list[Figures]:
    """A line for each topology, as of `bill`: the trainings of rows, for all points, seeds and folds, on the base's
    mesh or on that of the first overlay beside its file which fits. A point whose program differs from those before
    it is compiled; its first row's step stands for its other rows. "uncounted" are the steps of models that write
    docids.

    files, settings    of the base; no files where it is the study's own
    load               the base of these files or others
    """
    return [_line(study, files, settings, load, topology, seeds, quick) for topology in topologies]


def _line(
    study: Study,
    files: Sequence[str],
    settings: Sequence[str],
    load: Callable[[Sequence[str]], Experiment],
    topology: str,
    seeds: Sequence[int],
    quick: bool,
) -> Figures:
    line: Figures = {"training": study.name, "topology": topology}
    try:
        pod = Pod.of(topology, 1)
        overlay, base = fitting(files, settings, pod, load)
        points = study.over(base)
        counted, uncounted, figures = [], 0, {}
        times = len(seeds) * max(1, base.corpus.folds)
        for name, plan in planned(points).items():
            experiment = next(point.experiment for point in points.points if point.name == name)
            rows = sum(training.steps for training in plan.own if not training.of.startswith(DOCIDS))
            uncounted += times * (sum(training.steps for training in plan.own) - rows)
            if rows:
                key = program_of(experiment)
                if key not in figures:
                    ((mesh, figures[key]),) = plan_training(experiment, pod, neighbours=False, quick=quick).items()
                counted.append((times * rows, figures[key]))
    except UserError as error:
        return line | {"left_out": str(error)}
    if not counted:
        return line | {"left_out": "it trains no row"}
    return line | {"overlay": overlay, "mesh": mesh, "uncounted": uncounted} | summed(counted)


def summed(counted: Sequence[tuple[int, Figures]]) -> Figures:
    """Of (steps, figures of their program): whether all fit and, if so, what they take together."""
    chips = counted[0][1]["chips"]
    if not all(figures["fits"] for _, figures in counted):
        return {"fits": False, "chips": chips}
    steps = sum(count for count, _ in counted)
    seconds = [sum(count * figures["step_seconds"][bound] for count, figures in counted) for bound in (0, 1)]
    return {
        "fits": True,
        "chips": chips,
        "steps": steps,
        "step_seconds": [total / steps for total in seconds],
        "hours": [total / 3600 for total in seconds],
        "chip_hours": [chips * total / 3600 for total in seconds],
    }


def program_of(experiment: Experiment) -> str:
    """A fingerprint of what decides the compiled step: of the objective and the optimiser not their numbers, but
    whether they are 0."""
    retrieval = experiment.retrieval
    first = next(iter(experiment.rows), None)
    objective = getattr(first, "objective", None) or retrieval.objective
    switches = [
        {name: bool(value) if isinstance(value, int | float) else value for name, value in vars(section).items()}
        for section in (objective, retrieval.optimiser)
    ]
    shapes = [retrieval.model, retrieval.batch, experiment.docids.max_length, experiment.mesh]
    return fingerprint_of([*map(dataclasses.asdict, shapes[:2]), shapes[2], dataclasses.asdict(shapes[3]), switches])
