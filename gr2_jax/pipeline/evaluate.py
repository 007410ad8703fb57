"""Stage 4: the TREC runs of a row, runs/<row>/{test,validation}.trec, and cost.json."""

import shutil
from pathlib import Path

from gr2_jax.corpus import Run as Lists
from gr2_jax.corpus import write_run
from gr2_jax.experiment import Row
from gr2_jax.files import write_json
from gr2_jax.hosts import is_first
from gr2_jax.pipeline.run import PARTS, Run
from gr2_jax.pipeline.stage import Stage
from gr2_jax.progress import say
from gr2_jax.search.searcher import Searcher
from gr2_jax.search.sharded import search_sharded


def evaluate_row(run: Run, row: Row) -> None:
    """All processes search; the first writes."""
    stage = Stage(run.paths.runs / row.name, row.fingerprint(run))
    if stage.done:
        return
    say(f"searching with {row.name}")
    searcher, searched = row.open(run), run.paths.searched(row.name, stage.fingerprint)
    found = {part: search_sharded(searcher, run.queries(part), row.depth(run), searched / part) for part in PARTS}
    costs = {f"{part}_ms_per_query": lists.ms_per_query for part, lists in found.items()}
    costs |= cost(run, row, searcher) | {"proven_share": found["test"].proven_share}
    if is_first():
        stage.build(lambda out: write_row(out, row.name, {part: lists.run for part, lists in found.items()}, costs))
        shutil.rmtree(searched, ignore_errors=True)


def cost(run: Run, row: Row, searcher: Searcher) -> dict[str, float]:
    """`index_mb`, what a search keeps of the corpus; and, where there is a model, `model_mb` and `train_seconds`."""
    figures = {"index_mb": searcher.index_bytes / 1e6}
    seconds = row.train_seconds(run)
    if seconds is not None:
        figures |= {"model_mb": searcher.model_bytes / 1e6, "train_seconds": seconds}
    return figures


def write_row(out: Path, name: str, lists: dict[str, Lists], costs: dict[str, float]) -> None:
    """A row's files: <part>.trec for each part, and cost.json."""
    for part, run in lists.items():
        write_run(out / f"{part}.trec", run, name)
    write_json(out / "cost.json", costs)
