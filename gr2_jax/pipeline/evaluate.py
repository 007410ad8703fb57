"""Stage 4: a TREC run of every trained row over the test queries, and what it costs per query."""

import shutil
from pathlib import Path

import jax

from gr2_jax.config import DenseRow, Experiment, System, ViewsRow
from gr2_jax.evaluation.in_parts import search_in_parts
from gr2_jax.evaluation.searcher import Searcher
from gr2_jax.pipeline.dense_index import load_dense
from gr2_jax.pipeline.prepare import read_corpus
from gr2_jax.pipeline.runs import DEPTH, PARTS, queries_of, write_runs
from gr2_jax.pipeline.trained import load_retriever, load_views
from gr2_jax.progress import say
from gr2_jax.workdir import STAGE_FILE, Workdir, digest, is_done, read_json, run_stage


def evaluate_system(experiment: Experiment, workdir: Workdir, system: System, train_print: str) -> str:
    """Writes runs/<name>/{test,validation}.trec and cost.json; returns the fingerprint."""
    fingerprint = digest([train_print, experiment.evaluation.__dict__ | {"measures": None}])
    if not is_done(workdir.runs / system.name, fingerprint):
        retriever = load_retriever(experiment, workdir, system, train_print)
        seconds = _train_seconds(workdir, {system.name: train_print})
        _evaluate(workdir, system.name, fingerprint, retriever, experiment.evaluation.beams, seconds)
    return fingerprint


def evaluate_views(experiment: Experiment, workdir: Workdir, row: ViewsRow, trained: dict[str, str]) -> str:
    """The same for a row that reads several systems together; `trained` holds their fingerprints."""
    prints = {name: trained[name] for name in row.systems}
    fingerprint = digest([list(prints.items()), experiment.evaluation.__dict__ | {"measures": None}])
    if not is_done(workdir.runs / row.name, fingerprint):
        views = load_views(experiment, workdir, row, trained)
        seconds = _train_seconds(workdir, prints)
        _evaluate(workdir, row.name, fingerprint, views, experiment.evaluation.beams, seconds)
    return fingerprint


def evaluate_dense(experiment: Experiment, workdir: Workdir, row: DenseRow, train_print: str) -> str:
    """The same for a bi-encoder, whose lists are as long as a baseline's."""
    fingerprint = digest([train_print, experiment.evaluation.query_length])
    if not is_done(workdir.runs / row.name, fingerprint):
        index = load_dense(experiment, workdir, row.name, train_print)
        _evaluate(workdir, row.name, fingerprint, index, DEPTH, _train_seconds(workdir, {row.name: train_print}))
    return fingerprint


def _evaluate(
    workdir: Workdir, name: str, fingerprint: str, searcher: Searcher, depth: int, train_seconds: float
) -> None:
    """Lists of `depth` documents. All processes search; the first writes."""
    say(f"searching with {name}")
    collection, split = read_corpus(workdir)
    cost = {
        "train_seconds": train_seconds,
        "index_mb": searcher.index_bytes / 1e6,
        "model_mb": searcher.model_bytes / 1e6,
    }
    runs, searched = {}, workdir.searched(f"{name}-{fingerprint}")
    for part in PARTS:
        queries = queries_of(part, collection.queries, split)
        found = search_in_parts(searcher, queries, depth, searched / part)
        runs[part], cost[f"{part}_ms_per_query"], cost["exact_share"] = found.run, found.ms_per_query, found.exact_share

    def build(out: Path) -> None:
        write_runs(out, name, runs, cost)

    if jax.process_index() == 0:
        run_stage(workdir.runs / name, fingerprint, build)
        shutil.rmtree(searched, ignore_errors=True)


def _train_seconds(workdir: Workdir, prints: dict[str, str]) -> float:
    stages = [
        read_json(workdir.checkpoints(f"{name}-{train_print}") / STAGE_FILE) for name, train_print in prints.items()
    ]
    return sum(stage["seconds"] for stage in stages)
