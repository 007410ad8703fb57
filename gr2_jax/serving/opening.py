"""What of a run, or of a bundle, is served: its rows, and the queries whose documents were judged."""

from collections.abc import Sequence
from typing import NamedTuple

from gr2_jax.compilation_cache import keep_compiled_programs
from gr2_jax.corpus import Qrels
from gr2_jax.errors import UserError
from gr2_jax.pipeline.bundle.contents import is_bundle
from gr2_jax.pipeline.bundle.opening import open_bundle
from gr2_jax.pipeline.open_run import open_row_of, open_run
from gr2_jax.pipeline.opening import located
from gr2_jax.pipeline.run import Run
from gr2_jax.search.opened import OpenRetriever
from gr2_jax.serving.judged import JudgedQueries

_BESIDE = "BM25"  # served without being named, where the run has it


class Opened(NamedTuple):
    name: str
    rows: list[OpenRetriever]
    judged: JudgedQueries


def open_served(directory: str, rows: Sequence[str]) -> Opened:
    """The rows of a run, all over the same documents in memory; by default its first and BM25. Of a bundle its one.

    Raises:
        UserError: There is no such run or row, or the row cannot be opened.
    """
    keep_compiled_programs()
    place = located(directory)
    if is_bundle(place):
        if len(rows) > 1:
            raise UserError(f"{place} is a bundle of one row: name no other in --rows")
        return Opened(place.name, [open_bundle(place, rows[0] if rows else None)], JudgedQueries({}, {}))
    run = open_run(place)
    names = list(rows) or list(dict.fromkeys([run.row().name, *(row.name for row in run.rows if row.name == _BESIDE)]))
    return Opened(run.experiment.name, [open_row_of(run, name) for name in names], _judged(run))


def _judged(run: Run) -> JudgedQueries:
    """The queries that no model was trained on come first."""
    queries = run.queries("test") | run.queries("validation") | run.queries("train")
    qrels: Qrels = {query: run.corpus.qrels[query] for query in queries if run.corpus.qrels.get(query)}
    return JudgedQueries(queries, qrels)
