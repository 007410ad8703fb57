"""What each point of a study trains, known from its settings before any work."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gr2_jax.errors import UserError
from gr2_jax.experiment import Experiment
from gr2_jax.experiment.study import Points
from gr2_jax.pipeline.checks import check
from gr2_jax.pipeline.rows import DenseRow, System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.plain_queries import generator_of
from gr2_jax.pipeline.schemes.pseudo_queries import PseudoQueries
from gr2_jax.pipeline.stage import fingerprint_of

DOCIDS = "docids "
"""How the trainings of models that write docids begin their names."""


class Training(NamedTuple):
    """A model that a run trains: what it is of, its steps, and a fingerprint of the settings that decide it."""

    of: str
    steps: int
    settings: str


class Planned(NamedTuple):
    """What a point trains itself, and how many of its models it takes over from points before it."""

    own: tuple[Training, ...]
    shared: int


def checked(points: Points, directory: Path) -> None:
    """Raises `UserError`, which names the point, for the first that cannot work."""
    for point in points.points:
        try:
            check(Run(point.experiment, directory))
        except UserError as error:
            raise UserError(f"point {point.name}: {error}") from error


def planned(points: Points) -> dict[str, Planned]:
    """Point -> what it trains for each seed and fold."""
    known: set[str] = set()
    plan = {}
    for point in points.points:
        all_ = list(trainings(point.experiment))
        own = tuple(training for training in all_ if training.settings not in known)
        plan[point.name] = Planned(own, len(all_) - len(own))
        known |= {training.settings for training in own}
    return plan


def trainings(experiment: Experiment) -> Iterator[Training]:
    """Every model that a run of the experiment trains: those that write docids or queries, and those of rows."""
    run, reads = Run(experiment, Path()), [experiment.corpus, experiment.vocabulary, *_augmentation(experiment)]
    schemes = {scheme.name: scheme for scheme in experiment.docids.schemes}
    generator = generator_of(experiment)
    for scheme in [*schemes.values(), *([] if generator is None else [generator])]:
        if isinstance(scheme, PseudoQueries):
            decides = [reads, scheme.name, scheme.query_length(run), _training_settings(scheme)]
            yield Training(f"{DOCIDS}{scheme.name}", scheme.optimiser.steps, fingerprint_of(decides))
    reads += [experiment.augmentation.generated, generator]
    retrieval, starts = dataclasses.replace(experiment.retrieval, evaluate_every=0), {}
    for row in run.rows:
        if isinstance(row, System):
            start = None if row.self_negatives is None else starts.get(row.self_negatives.of)
            changed = dataclasses.replace(retrieval, objective=row.objective_in(run))
            decides = [reads, row, schemes[row.docids], experiment.docids.max_length, changed, start]
        elif isinstance(row, DenseRow):
            decides = [reads, row, retrieval.model, retrieval.optimiser, retrieval.batch]
        else:
            continue
        starts[row.name] = fingerprint_of(decides)
        yield Training(row.name, row.steps(run), starts[row.name])


def _augmentation(experiment: Experiment) -> list[Any]:
    return [experiment.augmentation.entities, experiment.augmentation.passages]


def _training_settings(scheme: PseudoQueries) -> Any:
    """Of the docid model alone: not how it writes."""
    fields = {field.name: getattr(scheme, field.name) for field in dataclasses.fields(scheme)}
    written = ("max_length", "beams", "mu", "radius", "radii", "relative", "latents", "resamples")
    return {name: value for name, value in fields.items() if name not in written}


def lines(points: Points, plan: dict[str, Planned], seeds: tuple[int, ...], folds: int) -> list[str]:
    """The plan as a person reads it: a line for each point, then the total."""
    width = max(len(point.name) for point in points.points)
    told = [f"  {point.name:{width}}  {_told(plan[point.name])}" for point in points.points]
    own = [training for one in plan.values() for training in one.own]
    times = len(seeds) * max(1, folds)
    each = f"of {len(seeds)} {'seed' if len(seeds) == 1 else 'seeds'}" + (f" and {folds} folds" if folds else "")
    steps = times * sum(training.steps for training in own)
    total = (
        f"{times * len(own):,} trainings in all, {steps:,} steps: {len(own)} for each {each}"
        if own
        else "nothing is trained"
    )
    left_out = [
        f"  axis {name} is left out: this experiment has no such row or docid scheme" for name in points.left_out
    ]
    return [*told, *left_out, total]


def _told(planned: Planned) -> str:
    shared = f"takes over {planned.shared} from points before it" if planned.shared else ""
    if not planned.own:
        return f"trains nothing, {shared}" if shared else "trains nothing"
    named = f"trains {', '.join(training.of for training in planned.own)}"
    return f"{named}; {shared}" if shared else named
