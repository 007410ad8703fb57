"""All stages of an experiment, in order; folds of queries as runs of their own, merged at the end."""

import shutil
from functools import partial
from pathlib import Path

from gr2_jax.corpus import read_run
from gr2_jax.errors import UserError, nearest
from gr2_jax.experiment import Experiment
from gr2_jax.experiment.loading import to_record
from gr2_jax.files import read_json, write_json, writing
from gr2_jax.hosts import is_first
from gr2_jax.lock import holding
from gr2_jax.pipeline.checks import check
from gr2_jax.pipeline.docids import make_docids
from gr2_jax.pipeline.evaluate import evaluate_row, forget_left_out, why_left_out, write_left_out, write_row
from gr2_jax.pipeline.generated_queries import generate_queries
from gr2_jax.pipeline.prepare import prepare
from gr2_jax.pipeline.quality import report_docids
from gr2_jax.pipeline.report import docid_lines, report
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import Stage, current_fingerprint, fingerprint_of, reading_stage
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.progress import say
from gr2_jax.training.mesh import devices_in_words

STAGES = ("prepare", "docids", "train", "evaluate")


def run_experiment(
    experiment: Experiment, directory: Path, *, until: str = "evaluate", part: str = "test"
) -> str | None:
    """Brings the run in `directory` up to the stage `until`, doing only what is not yet done.

    Returns the table of measures after `evaluate`, that of docids after `docids` (the first fold's), else None. Every
    process of a job calls this with the same arguments; the tables are the first's. `UserError` while another job is at
    work in the directory.
    """
    if until not in STAGES:
        raise UserError(f"there is no stage '{until}': {nearest(until, STAGES)}")
    run = Run(experiment, directory)
    check(run)
    if run.paths.config.is_file() and "experiment" not in read_json(run.paths.config):
        raise UserError(f"{run.paths.config} exists and is not the config.json of a run: give another --workdir")
    if part == "validation" and experiment.corpus.folds:
        raise UserError("the folds' validation queries overlap and are not scored together: use --corpus.folds 0")
    if part == "validation" and not experiment.corpus.validation_queries:
        raise UserError("there are no validation queries to score: --corpus.validation_queries is 0")
    run.paths.create()
    with holding(run.paths.root), writing(run.paths.root):
        say(devices_in_words())
        if experiment.corpus.folds:
            return _run_folds(run, until)
        docids = run_stages(run, until)
        if not is_first():
            return None
        if until == "docids":
            return docids
        return "\n".join([report(run, part=part), *docid_lines(run)]) if until == "evaluate" else None


def run_stages(run: Run, until: str = "evaluate") -> str | None:
    """Each stage up to `until`, of one split; returns the first process's table of docids, once there is one."""
    prepare(run)
    run.resume_record()
    if until == "prepare":
        return None
    if until == "evaluate":  # what these rows cannot do is then said before hours of training
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
    if until == "evaluate":
        for row in run.rows:
            if not row.reads_text_alone:
                evaluate_row(run, row)
    return docids


def _run_folds(run: Run, until: str) -> str | None:
    """Each fold in fold-<i>/; their test runs, which together cover every query once, are scored as one."""
    folds, docids = [run.paths.fold(i) for i in range(run.experiment.corpus.folds)], []
    for i, paths in enumerate(folds):
        say(f"fold {i + 1} of {len(folds)}")
        paths.create()
        docids.append(run_stages(Run(run.experiment, paths.root, fold=i), until))
    if not is_first():
        return None
    if until != "evaluate":
        return docids[0]
    for name in (row.name for row in run.rows):
        fingerprint = fingerprint_of([current_fingerprint(paths.runs / name) for paths in folds])
        stage = Stage(run.paths.runs / name, fingerprint)
        forget_left_out(stage)
        stage.build(partial(_merge, folds, name))
    corpora = fingerprint_of([current_fingerprint(paths.corpus) for paths in folds])
    Stage(run.paths.corpus, corpora).build(partial(_merge_corpus, folds))
    write_json(run.paths.config, {"experiment": to_record(run.experiment), "folds": len(folds)})
    lines = docid_lines(Run(run.experiment, folds[0].root))
    return "\n".join([report(run), *(f"first fold's {line}" for line in lines)])


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
