"""Validation while a system trains: its present parameters search the validation queries."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import jax

from gr2_jax.config import Experiment, System
from gr2_jax.errors import UserError
from gr2_jax.evaluation.metrics import default_measures, evaluate_run
from gr2_jax.evaluation.trec import read_qrels
from gr2_jax.models import GR2
from gr2_jax.pipeline.prepare import read_corpus
from gr2_jax.pipeline.runs import queries_of
from gr2_jax.pipeline.trained import make_retriever
from gr2_jax.progress import say
from gr2_jax.workdir import Workdir

CURVE = "validation.jsonl"


def validation_hook(
    experiment: Experiment, workdir: Workdir, system: System, model: GR2, directory: Path
) -> tuple[Callable[[int, dict], dict[str, float]], str]:
    """What the training loop is to call with a step and its parameters, and the name of the measure to go by.

    A call adds a line {"step": ..., "nDCG@20": ...} to `directory`/validation.jsonl, says the first measure and returns
    all. Raises `UserError` where no query is held out for it.
    """
    collection, split = read_corpus(workdir)
    queries = queries_of("validation", collection.queries, split)
    if not queries:
        raise UserError("--retrieval.evaluate_every needs validation queries: --corpus.validation_queries is 0")
    qrels = read_qrels(workdir.corpus / "validation.qrels")
    measures = experiment.evaluation.measures or default_measures(qrels)
    first = []

    def validate(step: int, params: dict) -> dict[str, float]:
        params = {name: value for name, value in params.items() if name != "penalty"}  # which searching has no use for
        if not first:
            first.append(make_retriever(experiment, workdir, system, model, params))
        first[0] = retriever = first[0].with_params(params)  # which keeps what is compiled
        hits = retriever.search(list(queries.values()), retriever.options.beams)
        run = {query: [(hit.doc_id, hit.score) for hit in found] for query, found in zip(queries, hits, strict=True)}
        scores = evaluate_run(run, qrels, measures)
        say(f"  step {step:,}: validation {measures[0]} {scores[measures[0]]:.4f}")
        if jax.process_index() == 0:
            _add_line(directory / CURVE, {"step": step} | scores)
        return scores

    return validate, measures[0]


def _add_line(path: Path, line: dict) -> None:
    """Puts the line in the place of what an earlier start wrote for this step or later ones."""
    lines = [json.loads(text) for text in path.read_text().splitlines()] if path.is_file() else []
    lines = [old for old in lines if old["step"] < line["step"]] + [line]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text("".join(json.dumps(each) + "\n" for each in lines))
    os.replace(partial, path)
