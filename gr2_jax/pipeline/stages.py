"""All stages of an experiment, in order; folds and seeds as runs of their own, which end in one table."""

import dataclasses
import shutil
from functools import partial
from pathlib import Path

from gr2_jax.buckets import push, shown
from gr2_jax.corpus import read_run
from gr2_jax.errors import UserError, nearest
from gr2_jax.experiment import Experiment
from gr2_jax.experiment.loading import to_record
from gr2_jax.files import read_json, write_json, writing
from gr2_jax.hosts import is_first
from gr2_jax.lock import holding
from gr2_jax.pipeline.checks import check
from gr2_jax.pipeline.docids import make_docids
from gr2_jax.pipeline.evaluate import evaluate_row, make_way, why_left_out, write_left_out, write_row
from gr2_jax.pipeline.generated_queries import generate_queries
from gr2_jax.pipeline.grade_vectors import compare_vectors
from gr2_jax.pipeline.old_runs import put_away_others
from gr2_jax.pipeline.prepare import prepare
from gr2_jax.pipeline.quality import report_docids
from gr2_jax.pipeline.report import docid_lines, report
from gr2_jax.pipeline.report_page.findings import findings_of
from gr2_jax.pipeline.report_page.page import write_page
from gr2_jax.pipeline.run import PARTS, Run
from gr2_jax.pipeline.seeds import report_seeds
from gr2_jax.pipeline.stage import Stage, current_fingerprint, fingerprint_of, reading_stage
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.progress import say
from gr2_jax.training.mesh import devices_in_words

STAGES = ("prepare", "docids", "train", "evaluate")


def run_experiment(
    experiment: Experiment,
    directory: Path,
    *,
    until: str = "evaluate",
    part: str = "test",
    seeds: tuple[int, ...] = (),
) -> str | None:
    """Brings the run in `directory` up to the stage `until`, doing only what is not yet done; with `seeds` one run for
    each of them, in place of the experiment's seed.

    Returns the table of measures after `evaluate`, that of docids after `docids` (the first seed's and fold's), else
    None; None also where there are no queries to measure. Every process of a job calls this with the same arguments;
    the tables are the first's. `UserError` while another job is at work in the directory.
    """
    if until not in STAGES:
        raise UserError(f"there is no stage '{until}': {nearest(until, STAGES)}")
    run = Run(experiment, directory)
    check(run)
    if run.paths.config.is_file() and "experiment" not in read_json(run.paths.config):
        raise UserError(f"{run.paths.config} exists and is not the config.json of a run: give another --workdir")
    if part == "validation" and experiment.corpus.folds:
        raise UserError("the folds' validation queries overlap and are not scored together: use --corpus.folds 0")
    if part == "validation" and not experiment.corpus.validates:
        raise UserError("there are no validation queries to score: --corpus.validation_queries is 0")
    run.paths.create()
    with holding(run.paths.root), writing(run.paths.root):
        say(devices_in_words())
        docids = _run_seeds(run, seeds, until) if seeds else _run_split_or_folds(run, until)
        if not is_first():
            return None
        if until != "evaluate":
            push(run.paths.root)
            return docids if until == "docids" else None
        runs = {seed: _of_seed(run, seed) for seed in seeds}
        measured = bool(next(iter(runs.values()), run).qrels(part))
        table = (report_seeds(run, runs, part=part) if seeds else report(run, part=part)) if measured else None
        write_page(findings_of(run, part))
        push(run.paths.root)
        return "\n".join([table, *_docid_lines(run, seeds)]) if measured else None


def _of_seed(run: Run, seed: int) -> Run:
    """A run of its own, as if it had been asked for with this seed and in this workdir."""
    root = run.paths.seed(seed).root
    return Run(dataclasses.replace(run.experiment, seed=seed, workdir=shown(root)), root)


def _run_seeds(run: Run, seeds: tuple[int, ...], until: str) -> str | None:
    """Each seed in seed-<n>/; returns the first's table of docids."""
    if is_first():  # before the work, so that an unfinished run of several seeds is known as one
        write_json(run.paths.config, {"experiment": to_record(run.experiment), "seeds": seeds})
        push(run.paths.config)
    docids = []
    for i, seed in enumerate(seeds, start=1):
        say(f"seed {seed}, {i} of {len(seeds)}")
        one = _of_seed(run, seed)
        one.paths.create()
        with holding(one.paths.root):
            docids.append(_run_split_or_folds(one, until))
    if until == "evaluate":
        put_away_others(run.paths, lists=(), scores=_names(run))
    return docids[0]


def _run_split_or_folds(run: Run, until: str) -> str | None:
    return _run_folds(run, until) if run.experiment.corpus.folds else run_stages(run, until)


def _docid_lines(run: Run, seeds: tuple[int, ...]) -> list[str]:
    """The docids' figures, of the first seed and fold."""
    paths, whose = run.paths, ""
    if seeds:
        paths, whose = paths.seed(seeds[0]), "first seed's "
    if run.experiment.corpus.folds:
        paths, whose = paths.fold(0), f"{whose}first fold's "
    return [f"{whose}{line}" for line in docid_lines(Run(run.experiment, paths.root))]


def run_stages(run: Run, until: str = "evaluate") -> str | None:
    """Each stage up to `until`, of one split; returns the first process's table of docids, once there is one."""
    prepare(run)
    run.resume_record()
    if until == "prepare":
        return None
    evaluates = until == "evaluate" and any(map(run.queries, PARTS))
    if evaluates:  # what these rows cannot do is then said before hours of training
        for row in run.rows:
            if row.reads_text_alone:
                evaluate_row(run, row)
    make_docids(run)
    docids = report_docids(run) if is_first() else None
    if until == "docids":
        return docids
    generate_queries(run)
    for row in run.rows:
        row.train(run)
    if evaluates:
        for row in run.rows:
            if not row.reads_text_alone:
                evaluate_row(run, row)
                compare_vectors(run, row)
        put_away_others(run.paths, lists=_names(run), scores=_names(run))
    return docids


def _names(run: Run) -> list[str]:
    return [row.name for row in run.rows]


def _run_folds(run: Run, until: str) -> str | None:
    """Each fold in fold-<i>/; their test runs, which together cover every query once, become one. Returns the first's
    table of docids."""
    folds, docids = [run.paths.fold(i) for i in range(run.experiment.corpus.folds)], []
    for i, paths in enumerate(folds):
        say(f"fold {i + 1} of {len(folds)}")
        paths.create()
        docids.append(run_stages(Run(run.experiment, paths.root, fold=i), until))
    if is_first() and until == "evaluate":
        for name in _names(run):
            fingerprint = fingerprint_of([current_fingerprint(paths.runs / name) for paths in folds])
            stage = Stage(run.paths.runs / name, fingerprint)
            make_way(run.paths, name)
            stage.build(partial(_merge, folds, name))
        put_away_others(run.paths, lists=_names(run), scores=_names(run))
        corpora = fingerprint_of([current_fingerprint(paths.corpus) for paths in folds])
        Stage(run.paths.corpus, corpora).build(partial(_merge_corpus, folds))
        write_json(run.paths.config, {"experiment": to_record(run.experiment), "folds": len(folds)})
    return docids[0]


def _merge(folds: list[Workdir], name: str, out: Path) -> None:
    """One test run of all folds' queries; costs are means over the folds. What a fold leaves out is left out."""
    reasons = {i: why for i, paths in enumerate(folds, start=1) if (why := why_left_out(paths.runs / name))}
    if reasons:
        i, why = next(iter(reasons.items()))
        write_left_out(out, f"{why} (fold {i} of {len(folds)})" if len(reasons) < len(folds) else why)
        return
    runs, costs = [], []
    for paths in folds:
        with reading_stage(paths.runs / name, "test.trec") as path:
            runs.append(read_run(path))
        with reading_stage(paths.runs / name, "cost.json") as path:
            costs.append({key: float(value) for key, value in read_json(path).items()})
            means = {key: sum(cost[key] for cost in costs) / len(costs) for key in costs[0]}
    write_row(out, name, {"test": {query: hits for found in runs for query, hits in found.items()}}, means)


def _merge_corpus(folds: list[Workdir], out: Path) -> None:
    """All judgements, and the corpus's provenance; the documents stay with the folds."""
    shutil.copy(folds[0].corpus / "qrels.txt", out / "test.qrels")
    shutil.copy(folds[0].corpus / "provenance.json", out / "provenance.json")
