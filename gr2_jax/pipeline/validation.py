"""Validation while a system trains: its present parameters search the validation queries."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gr2_jax.errors import UserError
from gr2_jax.evaluation.metrics import default_measures, evaluate_run
from gr2_jax.files import parse_json, read_json, read_text, reading, write_text
from gr2_jax.hosts import is_first
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import reading_stage
from gr2_jax.progress import say
from gr2_jax.search.retriever import Retriever
from gr2_jax.search.searcher import Searcher

CURVE = "validation.jsonl"
_CHOOSES = "nDCG@20"  # a longer list has more judged documents than nDCG@5's, and its mean less noise


def validation_hook(
    run: Run, make: Callable[[dict], Retriever], directory: Path
) -> tuple[Callable[[int, dict], dict[str, float]], str]:
    """The function that the training loop calls with a step and its parameters, and the name of the measure by which
    checkpoints are kept; `make` gives a retriever with some parameters.

    A call adds a line {"step": ..., "nDCG@20": ...} to `directory`/validation.jsonl, reports the first measure and
    returns all.
    """
    score, measures = validation_scores(run)
    kept = []

    def validate(step: int, params: dict) -> dict[str, float]:
        params = {name: value for name, value in params.items() if name != "penalty"}  # a search does not read it
        if not kept:
            kept.append(make(params))
        kept[0] = retriever = kept[0].with_params(params)  # which keeps the compiled programs
        scores = score(retriever, retriever.options.beams)
        say(f"  step {step:,}: validation {measures[0]} {scores[measures[0]]:.4f}")
        if is_first():
            _add_line(directory / CURVE, {"step": step} | scores)
        return scores

    return validate, measures[0]


def validation_scores(run: Run) -> tuple[Callable[[Searcher, int], dict[str, float]], tuple[str, ...]]:
    """The function that gives a searcher's measures on the validation queries, from lists of a given length, and which
    measures these are."""
    queries, qrels = run.queries("validation"), run.qrels("validation")
    measures = run.experiment.evaluation.measures or default_measures(qrels)

    def score(searcher: Searcher, k: int) -> dict[str, float]:
        hits = searcher.search(list(queries.values()), k)
        found = {query: [(hit.doc_id, hit.score) for hit in own] for query, own in zip(queries, hits, strict=True)}
        return evaluate_run(found, qrels, measures)

    return score, measures


def best_on_validation(run: Run, weights: tuple[float, ...], make: Callable[[float], Searcher]) -> dict[str, Any]:
    """{"weight": the first of the weights whose searcher ranks the validation queries best, "measure": by which
    measure, nDCG@20 where it is measured and else the first, "scores": of each weight}. Of one weight, it alone."""
    if len(weights) == 1:
        return {"weight": weights[0]}
    if not run.split.validation:
        raise UserError("a weight is chosen on validation queries, and there are none")
    score, measures = validation_scores(run)
    measure = _CHOOSES if _CHOOSES in measures else measures[0]
    scores = [score(make(weight), run.experiment.evaluation.beams)[measure] for weight in weights]
    best = max(range(len(weights)), key=scores.__getitem__)
    say(f"  weight {weights[best]:g}: validation {measure} {scores[best]:.4f}, the best of {len(weights)}")
    by_weight = dict(zip(map(str, weights), scores, strict=True))
    return {"weight": weights[best], "measure": measure, "scores": by_weight}


def check_chooses(run: Run, row: str, word: str, weights: tuple[float, ...]) -> None:
    """Raises `UserError` where a row chooses one of its weights, called `word`, and there are no validation queries."""
    if len(weights) > 1 and not run.experiment.corpus.validates:
        raise UserError(f"row {row} chooses its {word} on validation queries: --corpus.validation_queries is 0")


def read_weight(directory: Path) -> float:
    """The weight of a stage that keeps what `best_on_validation` chose, in weight.json."""
    with reading_stage(directory, "weight.json") as path:
        return float(read_json(path)["weight"])


def _add_line(path: Path, line: dict) -> None:
    """Replaces the lines that an earlier start wrote for this step or later ones."""
    with reading(path):
        lines = [parse_json(text, path) for text in read_text(path).splitlines()] if path.is_file() else []
        lines = [old for old in lines if old["step"] < line["step"]] + [line]
    write_text(path, (json.dumps(each) + "\n" for each in lines))
