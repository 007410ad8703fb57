"""All stages of an experiment, in order; folds of queries as runs of their own, merged at the end."""

import shutil
from functools import partial
from pathlib import Path

from gr2_jax.corpus import read_run
from gr2_jax.errors import UserError
from gr2_jax.experiment import Experiment
from gr2_jax.experiment.loading import to_record
from gr2_jax.files import read_json, write_json
from gr2_jax.hosts import is_first
from gr2_jax.pipeline.checks import check
from gr2_jax.pipeline.docids import make_docids
from gr2_jax.pipeline.evaluate import evaluate_row, write_row
from gr2_jax.pipeline.generated_queries import generate_queries
from gr2_jax.pipeline.prepare import prepare
from gr2_jax.pipeline.quality import report_docids
from gr2_jax.pipeline.report import docid_lines, report
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import STAGE_FILE, Stage, fingerprint_of
from gr2_jax.progress import say

STAGES = ("prepare", "docids", "train", "evaluate")


def run_experiment(
    experiment: Experiment, directory: Path, *, until: str = "evaluate", part: str = "test"
) -> str | None:
    """Brings the run in `directory` up to the stage `until`, doing only what is not yet done.

    Returns the table of measures after `evaluate`, that of docids after `docids` (the first fold's), else None. Every
    process of a job calls this with the same arguments; the tables are the first's.
    """
    run = Run(experiment, directory)
    check(run)
    if run.paths.config.is_file() and "experiment" not in read_json(run.paths.config):
        raise UserError(f"{run.paths.config} is in the way and is not a run's: give another --workdir")
    if experiment.corpus.folds and part != "test":
        raise UserError("the folds' validation queries overlap and are not scored together: use --corpus.folds 0")
    run.paths.create()
    if experiment.corpus.folds:
        return _run_folds(run, until)
    run_stages(run, until)
    if not is_first():
        return None
    if until == "docids":
        return (run.paths.report / "docids.md").read_text().rstrip()
    return "\n".join([report(run, part=part), *docid_lines(run)]) if until == "evaluate" else None


def run_stages(run: Run, until: str = "evaluate") -> None:
    """Each stage up to `until`, of one split."""
    prepare(run)
    run.resume_record()
    if until == "prepare":
        return
    make_docids(run)
    if is_first():
        report_docids(run)
    if until == "docids":
        return
    generate_queries(run)
    for row in run.rows:
        row.train(run)
    if until == "evaluate":
        for row in run.rows:
            evaluate_row(run, row)


def _run_folds(run: Run, until: str) -> str | None:
    """Each fold in fold-<i>/; their test runs, which together cover every query once, are scored as one."""
    folds = [Run(run.experiment, run.paths.fold(i).root, fold=i) for i in range(run.experiment.corpus.folds)]
    for i, fold in enumerate(folds):
        say(f"fold {i + 1} of {len(folds)}")
        fold.paths.create()
        run_stages(fold, until)
    if not is_first():
        return None
    if until == "docids":
        return (folds[0].paths.report / "docids.md").read_text().rstrip()
    if until != "evaluate":
        return None
    for name in (row.name for row in run.rows):
        fingerprint = fingerprint_of([(fold.paths.runs / name / STAGE_FILE).read_text() for fold in folds])
        Stage(run.paths.runs / name, fingerprint).build(partial(_merge, folds, name))
    Stage(run.paths.corpus, fingerprint_of("folds")).build(partial(_merge_corpus, folds))
    write_json(run.paths.config, {"experiment": to_record(run.experiment), "folds": len(folds)})
    return "\n".join([report(run), *(f"first fold's {line}" for line in docid_lines(folds[0]))])


def _merge(folds: list[Run], name: str, out: Path) -> None:
    """One test run of all folds' queries; costs are means over the folds."""
    runs = [read_run(fold.paths.runs / name / "test.trec") for fold in folds]
    costs = [read_json(fold.paths.runs / name / "cost.json") for fold in folds]
    means = {key: sum(cost[key] for cost in costs) / len(costs) for key in costs[0]}
    write_row(out, name, {"test": {query: hits for found in runs for query, hits in found.items()}}, means)


def _merge_corpus(folds: list[Run], out: Path) -> None:
    """All judgements, and the corpus's provenance; the documents stay with the folds."""
    shutil.copy(folds[0].paths.corpus / "qrels.txt", out / "test.qrels")
    shutil.copy(folds[0].paths.corpus / "provenance.json", out / "provenance.json")
