"""All stages of an experiment, in order; folds of queries as runs of their own, merged at the end."""

import dataclasses
import json
import shutil
from functools import partial
from pathlib import Path

from gr2_jax.config import Experiment
from gr2_jax.distributed import is_first, process_count
from gr2_jax.errors import UserError
from gr2_jax.evaluation.trec import read_run, write_run
from gr2_jax.pipeline.baselines import evaluate_baselines
from gr2_jax.pipeline.check import check
from gr2_jax.pipeline.dense import train_dense
from gr2_jax.pipeline.docids import make_docids
from gr2_jax.pipeline.evaluate import evaluate_dense, evaluate_system, evaluate_views
from gr2_jax.pipeline.generated_queries import generate_queries
from gr2_jax.pipeline.prepare import prepare
from gr2_jax.pipeline.quality import report_docids
from gr2_jax.pipeline.report import docid_lines, report
from gr2_jax.pipeline.retrieval import train_system
from gr2_jax.progress import say
from gr2_jax.workdir import STAGE_FILE, Workdir, digest, read_json, run_stage, write_json

STAGES = ("prepare", "docids", "train", "evaluate")


def run(experiment: Experiment, workdir: Workdir, *, until: str = "evaluate", part: str = "test") -> str | None:
    """Brings the run up to the stage `until`, doing only what is not yet done.

    Returns the table of measures after `evaluate`, that of docids after `docids` (the first fold's), else None. Every
    process of a job calls this with the same arguments; the tables are the first's.
    """
    check(experiment)
    if process_count() > 1 and experiment.retrieval.dense:
        raise UserError("a dense row is trained by one process: without several, or without RetrievalConfig.dense")
    if workdir.config.is_file() and "experiment" not in read_json(workdir.config):
        raise UserError(f"{workdir.config} is in the way and is not a run's: give another --workdir")
    workdir.create()
    if experiment.corpus.folds:
        return _run_folds(experiment, workdir, until, part)
    names = _run_stages(experiment, workdir, until)
    if not is_first():
        return None
    if until == "docids":
        return (workdir.report / "docids.md").read_text().rstrip()
    if names is None:
        return None
    return "\n".join([report(experiment, workdir, names, part=part), *docid_lines(workdir, experiment.docids.schemes)])


def _run_stages(experiment: Experiment, workdir: Workdir, until: str, fold: int | None = None) -> list[str] | None:
    reach = STAGES.index(until)
    examples = prepare(experiment, workdir, fold)
    record = _open_record(experiment, workdir, fold)
    if reach >= 1:
        docids = make_docids(experiment, workdir, examples)
        if is_first():
            report_docids(workdir, experiment.docids.schemes)
    if reach >= 2:
        generated = generate_queries(experiment, workdir, examples)
        for system in experiment.retrieval.systems:
            trained = record["trained"]
            upstream = digest([docids[system.docids], generated])
            trained[system.name] = train_system(experiment, workdir, system, upstream, trained)
            write_json(workdir.config, record)
        for row in experiment.retrieval.dense:
            record["trained"][row.name] = train_dense(experiment, workdir, row, digest([examples, generated]))
            write_json(workdir.config, record)
    if reach < 3:
        return None
    for system in experiment.retrieval.systems:
        evaluate_system(experiment, workdir, system, record["trained"][system.name])
    for row in experiment.retrieval.views:
        evaluate_views(experiment, workdir, row, record["trained"])
    for row in experiment.retrieval.dense:
        evaluate_dense(experiment, workdir, row, record["trained"][row.name])
    baselines = evaluate_baselines(experiment, workdir, examples)
    rows = (*experiment.retrieval.systems, *experiment.retrieval.views, *experiment.retrieval.dense)
    return [*(row.name for row in rows), *baselines]


def _open_record(experiment: Experiment, workdir: Workdir, fold: int | None) -> dict:
    """config.json: the experiment and each trained system's fingerprint; kept where the experiment is the same."""
    record = {"experiment": json.loads(json.dumps(dataclasses.asdict(experiment))), "fold": fold, "trained": {}}
    if workdir.config.is_file():
        old = read_json(workdir.config)
        if old["experiment"] == record["experiment"]:
            return record | {"trained": old.get("trained", {})}
    write_json(workdir.config, record)
    return record


def _run_folds(experiment: Experiment, workdir: Workdir, until: str, part: str) -> str | None:
    """Each fold in fold-<i>/; their test runs, which together cover every query once, are scored as one."""
    if part != "test":
        raise UserError("the folds' validation queries overlap and are not scored together: use --corpus.folds 0")
    folds = [Workdir(workdir.root / f"fold-{i}") for i in range(experiment.corpus.folds)]
    for i, directory in enumerate(folds):
        say(f"fold {i + 1} of {len(folds)}")
        directory.create()
        names = _run_stages(experiment, directory, until, i)
    if not is_first():
        return None
    if until == "docids":
        return (folds[0].report / "docids.md").read_text().rstrip()
    if names is None:
        return None
    for name in names:
        fingerprint = digest([(fold.runs / name / STAGE_FILE).read_text() for fold in folds])
        run_stage(workdir.runs / name, fingerprint, partial(_merge, folds, name))
    run_stage(workdir.corpus, digest("folds"), partial(_merge_corpus, folds))
    write_json(workdir.config, {"experiment": dataclasses.asdict(experiment), "folds": len(folds)})
    lines = docid_lines(folds[0], experiment.docids.schemes)
    return "\n".join([report(experiment, workdir, names), *(f"first fold's {line}" for line in lines)])


def _merge(folds: list[Workdir], name: str, out: Path) -> None:
    """One test run of all folds' queries; costs are means over the folds."""
    runs = [read_run(fold.runs / name / "test.trec") for fold in folds]
    write_run(out / "test.trec", {query: hits for found in runs for query, hits in found.items()}, name)
    costs = [read_json(fold.runs / name / "cost.json") for fold in folds]
    write_json(out / "cost.json", {key: sum(c[key] for c in costs) / len(costs) for key in costs[0]})


def _merge_corpus(folds: list[Workdir], out: Path) -> None:
    """All judgements, and where they come from; the documents stay with the folds."""
    shutil.copy(folds[0].corpus / "qrels.txt", out / "test.qrels")
    shutil.copy(folds[0].corpus / "provenance.json", out / "provenance.json")
