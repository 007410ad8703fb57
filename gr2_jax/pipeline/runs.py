"""What a row of the table leaves in runs/<name>/: a TREC run per part of the queries, and what it cost."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from gr2_jax.corpus import Split
from gr2_jax.evaluation.trec import Run, write_run
from gr2_jax.workdir import write_json

PARTS = ("validation", "test")
DEPTH = 100
"""Documents that a baseline's list holds at most."""

Search = Callable[[dict[str, str]], Run]
"""Queries (id -> text) to ranked lists."""


def queries_of(part: str, queries: Mapping[str, str], split: Split) -> dict[str, str]:
    return {query: queries[query] for query in getattr(split, part)}


def timed(search: Search, queries: dict[str, str]) -> tuple[Run, float]:
    """The ranked lists, and the milliseconds that a query took."""
    started = time.perf_counter()
    run = search(queries) if queries else {}
    return run, 1000 * (time.perf_counter() - started) / max(len(queries), 1)


def write_runs(out: Path, name: str, runs: Mapping[str, Run], cost: Mapping[str, float]) -> None:
    """<part>.trec for each part, and cost.json: `<part>_ms_per_query`; `index_mb`, what a search keeps of the corpus;
    `model_mb`; `train_seconds`; `exact_share`, of the test queries. What does not apply is left out."""
    for part, run in runs.items():
        write_run(out / f"{part}.trec", run, name)
    write_json(out / "cost.json", dict(cost))
