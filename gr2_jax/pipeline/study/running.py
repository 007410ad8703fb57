"""The runs of a study: its points one after the other, each with every seed, doing only what is not yet done."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gr2_jax.buckets import push, shown
from gr2_jax.errors import UserError
from gr2_jax.evaluation.somers_d import SOMERS_D
from gr2_jax.experiment import Experiment
from gr2_jax.experiment.loading import to_record
from gr2_jax.experiment.study import Point, Points, Study
from gr2_jax.files import read_json, write_json
from gr2_jax.hosts import is_first
from gr2_jax.lock import holding
from gr2_jax.pipeline.grade_vectors import GradeVectors, grade_vectors
from gr2_jax.pipeline.initial_weights import weights_fingerprint
from gr2_jax.pipeline.lending import lending
from gr2_jax.pipeline.prepare import decides_corpus, models_of
from gr2_jax.pipeline.report_page.findings import Findings, recorded
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import Stage, fingerprint_of, reading_stage
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.study.page import write_study_page
from gr2_jax.pipeline.study.plan import checked, lines, planned
from gr2_jax.pipeline.study.results import Measured, Scores, write_results
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.progress import say

_SCORES = "scores.json"


class StudyPaths(NamedTuple):
    """Where a study's files are: points/<point>/ are runs, results/<point>/ what was measured of them."""

    root: Path

    def point(self, point: Point) -> Path:
        return self.root / "points" / point.folder

    def results(self, point: Point) -> Path:
        return self.root / "results" / point.folder


def run_study(study: Study, base: Experiment, directory: Path, seeds: Sequence[int]) -> str | None:
    """Brings the study over `base` in `directory` to its end; returns its table. None on every process of a job but the
    first.

    A point is run as `gr2 run` would run it with these seeds, with every other point lending what it finished. Raises
    `UserError` for a point that cannot work, before any work.
    """
    points, paths = study.over(base), StudyPaths(directory)
    checked(points, directory)
    if (directory / "config.json").exists():
        raise UserError(f"{directory} holds a run: give another --workdir")
    Workdir(directory).create()
    plan = planned(points)
    say(f"study {study.name} over {base.name}: {len(points.points)} points, seeds {', '.join(map(str, seeds))}")
    for line in lines(points, plan, tuple(seeds), base.corpus.folds):
        say(line)
    with holding(directory):
        for number, point in enumerate(points.points, start=1):
            stage = Stage(paths.results(point), _fingerprint(point.experiment, seeds))
            if not stage.take_over():
                say(f"point {number} of {len(points.points)}: {point.name}")
                _run_point(paths, points, point, tuple(seeds))
                stage.build(partial(_write_scores, recorded(Workdir(paths.point(point))), seeds))
        if not is_first():
            return None
        scores = {point.name: _scores(paths.results(point), study) for point in points.points}
        measured = Measured(study, points, tuple(seeds), scores)
        table = write_results(measured, directory)
        write_study_page(measured, plan, directory)
        push(directory)
    return table


def _run_point(paths: StudyPaths, points: Points, point: Point, seeds: tuple[int, ...]) -> None:
    root = paths.point(point)
    others = [paths.point(other) for other in points.points if other is not point]
    experiment = dataclasses.replace(point.experiment, workdir=shown(root))
    try:
        with lending(root, others):
            table = run_experiment(experiment, root, seeds=seeds)
    except UserError as error:
        raise UserError(f"point {point.name}: {error}") from error
    if is_first() and table is None:
        raise UserError(f"point {point.name}: there are no test queries to measure")


def _fingerprint(experiment: Experiment, seeds: Sequence[int]) -> str:
    """Of everything that decides a point's measures: its settings, and the files that they name."""
    record = to_record(experiment)
    for name in ("name", "workdir", "seed", "mesh", "loop"):  # what is computed does not depend on these
        del record[name]
    if not experiment.corpus.around:  # so that the fingerprints of versions before it stay
        del record["corpus"]["around"]
    weights = {place: weights_fingerprint(model) for place, model in models_of(experiment).items()}
    _, *sources = decides_corpus(experiment.corpus)
    files = [*sources, weights, _vocabulary(experiment)]
    return fingerprint_of([record, list(seeds), files])


def _vocabulary(experiment: Experiment) -> str | None:
    content = experiment.vocabulary.content()
    return None if content is None else fingerprint_of(content.hex())


def _write_scores(found: Findings, seeds: Sequence[int], out: Path) -> None:
    """What the study shows of a point, from the table of its run."""
    rows = {row.name: found.row(row.name) for row in found.run.rows}
    values = [
        [name, [[measure, [each[str(seed)][measure] for seed in seeds]] for measure in found.measures]]
        for name, row in rows.items()
        if (each := row.get("seeds")) is not None
    ]
    quality = {scheme.name: found.detail.paths.quality(scheme.name) for scheme in found.run.experiment.docids.schemes}
    docids = {name: read_json(directory / "quality.json") for name, directory in quality.items()}
    about = {"notes": found.notes, "docids": docids, "queries": found.provenance["queries"]}
    runs = [Run(found.run.experiment, found.run.paths.seed(seed).root) for seed in seeds]
    vectors = [[name, _of_vectors([grade_vectors(run, name) for run in runs])] for name in rows]
    write_json(out / _SCORES, {"values": values, "vectors": vectors, **about})


def _of_vectors(each: list[GradeVectors | None]) -> list[tuple[str, list[float]]]:
    """What a row's vectors say of grades in each seed; nothing where a seed has no vectors."""
    measures = [{} if own is None else own.measures for own in each]
    return [(name, [own[name] for own in measures]) for name in measures[0] if all(name in own for own in measures)]


def _scores(directory: Path, study: Study) -> Scores:
    """With what vectors say of grades where the study is about that."""
    with reading_stage(directory, _SCORES) as path:
        found = read_json(path)
        values = {row: dict(measures) for row, measures in found["values"]}
        for row, measures in found.get("vectors", ()) if study.measure == SOMERS_D else ():
            if row in values:
                values[row] |= dict(measures)
        return Scores(values, found["notes"], found["docids"], int(found["queries"]))
