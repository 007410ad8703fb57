"""Stage 4: the TREC runs of a row, runs/<row>/{test,validation}.trec, and cost.json; or why the row has none."""

import shutil
from functools import partial
from pathlib import Path

from gr2_jax.buckets import push
from gr2_jax.corpus import Run as Lists
from gr2_jax.corpus import write_run
from gr2_jax.errors import UserError
from gr2_jax.experiment import Row
from gr2_jax.files import read_json, write_json
from gr2_jax.hosts import is_first, on_all
from gr2_jax.pipeline.old_runs import put_away
from gr2_jax.pipeline.run import PARTS, Run
from gr2_jax.pipeline.stage import Stage, reading_stage
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.progress import say
from gr2_jax.search.searcher import Searcher
from gr2_jax.search.sharded import search_sharded

_LEFT_OUT = "left_out.json"


def evaluate_row(run: Run, row: Row) -> None:
    """All processes search; the first writes. A row that cannot be opened is left out of the table, not the run: every
    call tries it again."""
    stage = Stage(run.paths.runs / row.name, row.fingerprint(run))
    if stage.take_over() and why_left_out(stage.directory) is None:
        return
    say(f"searching with {row.name}")
    try:
        searcher = on_all(lambda: row.open(run))
    except UserError as error:
        say(f"  {row.name} is left out: {error}")
        make_way(run.paths, row.name)
        stage.build(partial(write_left_out, why=str(error)))
        return
    searched = run.paths.searched(row.name, stage.fingerprint)
    found = {part: search_sharded(searcher, run.queries(part), row.depth(run), searched / part) for part in PARTS}
    costs = {f"{part}_ms_per_query": lists.ms_per_query for part, lists in found.items()}
    costs |= cost(run, row, searcher) | {"proven_share": found["test"].proven_share}
    if is_first():
        make_way(run.paths, row.name)
        stage.build(lambda out: write_row(out, row.name, {part: lists.run for part, lists in found.items()}, costs))
        shutil.rmtree(searched, ignore_errors=True)
        push(searched)
        if (note := found_nothing(row, found["test"].run)) is not None:
            say(f"  {row.name} {note}")


def found_nothing(row: Row, lists: Lists) -> str | None:
    """What a row's line of zeros means; None where a query has a document."""
    if not lists or any(lists.values()):
        return None
    why = ": none shares a word with a document" if row.reads_text_alone else ""
    return f"found no document for any of the {len(lists):,} queries{why}"


def why_left_out(directory: Path) -> str | None:
    """Why runs/<row>/ holds no lists; None where it does."""
    if not (directory / _LEFT_OUT).is_file():
        return None
    with reading_stage(directory, _LEFT_OUT) as path:
        return str(read_json(path)["why"])


def write_left_out(out: Path, why: str) -> None:
    write_json(out / _LEFT_OUT, {"why": why})


def make_way(paths: Workdir, row: str) -> None:
    """Before runs/<row>/ is built anew: lists that other settings made are put away, and what says that there were none
    is removed."""
    if not is_first():
        return
    if why_left_out(paths.runs / row) is not None:
        shutil.rmtree(paths.runs / row)
    else:
        put_away(paths, row)


def cost(run: Run, row: Row, searcher: Searcher) -> dict[str, float]:
    """`index_mb`, what a search keeps of the corpus; `model_mb` where there is a model, and `train_seconds` where the
    run trained one."""
    figures = {"index_mb": searcher.index_bytes / 1e6}
    if searcher.model_bytes:
        figures["model_mb"] = searcher.model_bytes / 1e6
    if (seconds := row.train_seconds(run)) is not None:
        figures["train_seconds"] = seconds
    return figures


def write_row(out: Path, name: str, lists: dict[str, Lists], costs: dict[str, float]) -> None:
    """A row's files: <part>.trec for each part, and cost.json."""
    for part, run in lists.items():
        write_run(out / f"{part}.trec", run, name)
    write_json(out / "cost.json", costs)
