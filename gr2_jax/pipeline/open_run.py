"""Opening what a run left, from its directory alone: which experiment it is, and a searcher of one of its rows."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, overload

from gr2_jax.buckets import local_copy
from gr2_jax.compilation_cache import keep_compiled_programs
from gr2_jax.corpus import Document
from gr2_jax.errors import SettingError, UserError
from gr2_jax.experiment.loading import from_record
from gr2_jax.files import read_json, reading
from gr2_jax.pipeline.rows import ROWS
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes import SCHEMES
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.search.searcher import Hit, Searcher


def open_run(directory: str | os.PathLike) -> Run:
    """Reads config.json of a run; `UserError` where there is none, or one of several seeds or folds."""
    paths = Workdir(local_copy(directory, workdir=True))
    record = read_record(paths)
    if seeds := record.get("seeds"):
        with reading(paths.config):
            first = paths.seed(seeds[0])
            first = first.fold(0) if record["experiment"]["corpus"]["folds"] else first
        raise UserError(f"{paths.root} has one run per seed: open one of them, such as {first.root}")
    if record.get("folds"):
        raise UserError(f"{paths.root} has one model per fold: open one of them, such as {paths.fold(0).root}")
    return recorded_run(paths, record)


def read_record(paths: Workdir) -> dict[str, Any]:
    """What config.json holds; `UserError` where there is no run."""
    if not paths.config.is_file():
        raise UserError(f"{paths.root} holds no run (no config.json): make one with `gr2 quickstart --workdir ...`")
    record = read_json(paths.config)
    if not isinstance(record, dict) or "experiment" not in record:
        raise UserError(f"{paths.config} is not the config.json of a run: give the workdir of a run")
    return record


def recorded_run(paths: Workdir, record: dict[str, Any]) -> Run:
    """The run of a record, also one of several seeds or folds, which has no models itself."""
    kinds = {kind.__name__: kind for kind in (*ROWS, *SCHEMES)}
    with reading(paths.config):
        experiment = from_record(record["experiment"], kinds)
        return Run(experiment, paths.root, fold=record.get("fold"), trainings=record.get("trainings"))


@dataclasses.dataclass(frozen=True)
class FoundDocument(Hit):
    """A hit with its place in the list, from 1, and its document's title and text."""

    rank: int = 0
    title: str = ""
    text: str = ""

    def __repr__(self) -> str:
        title = f", title={self.title!r}" if self.title else ""
        return f"FoundDocument(rank={self.rank}, doc_id={self.doc_id!r}{title}, score={self.score:.3f})"


@dataclasses.dataclass(frozen=True, eq=False)
class RunRetriever:
    """A row of a run, ready to search: `for hit in retriever.search("a query"): print(hit.doc_id, hit.title)`.

    models    for each trained model that the row reads: the fingerprints of its training, vocabulary and docids, and
              the checkpoint's step
    """

    searcher: Searcher
    row: str
    run: Run
    models: dict[str, dict[str, str | int]]

    def __repr__(self) -> str:
        return f"<{self.row} over {len(self.run.doc_ids):,} documents, {self.run.paths.root}>"

    @overload
    def search(self, queries: str, k: int = 20) -> list[FoundDocument]: ...

    @overload
    def search(self, queries: Sequence[str], k: int = 20) -> list[list[FoundDocument]]: ...

    def search(self, queries, k=20):
        """The best `k` documents of a query, best first, or such a list for each of several queries."""
        if isinstance(queries, str):
            return self.search([queries], k)[0]
        return [
            [self._found(hit, rank) for rank, hit in enumerate(hits, start=1)]
            for hits in self.searcher.search(list(queries), k)
        ]

    def document(self, doc_id: str) -> Document:
        """A document of the run; `UserError` where there is none of this id."""
        if doc_id not in self.run.documents:
            raise UserError(f"{self.run.paths.root} has no document {doc_id!r}")
        return self.run.documents[doc_id]

    def with_options(self, **changes: Any) -> "RunRetriever":
        """The same row with other search options, such as `exact="adaptive"`; see
        `gr2_jax.search.searcher.SearchOptions`."""
        return dataclasses.replace(self, searcher=self.searcher.with_options(**changes))

    def _found(self, hit: Hit, rank: int) -> FoundDocument:
        document = self.document(hit.doc_id)
        return FoundDocument(**vars(hit), rank=rank, title=document.title, text=document.text)


def open_row(
    directory: str | os.PathLike,
    row: str | None = None,
    *,
    step: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> RunRetriever:
    """A run's row, by default the first of its config, with the checkpoint of `step`, by default the newest, and with
    changes to the run's `SearchOptions`. A row that is still in training can be opened, too."""
    run = open_run(directory)
    found, options = run.row(row), dict(options or {})
    try:
        run.experiment.evaluation.search.changed(**options)  # refused before anything is loaded
    except SettingError as error:
        raise UserError(f"--{error.field.replace('_', '-')} {error.fault}") from error
    models = found.models(run, step)
    return RunRetriever(found.open(run, step).with_options(**options), found.name, run, models)


def open_retriever(directory: str | os.PathLike, row: str | None = None, **options: Any) -> RunRetriever:
    """A row of a run on disk, ready to search: `open_retriever("runs/quickstart").search("a query", k=5)`.

    Args:
        directory: The run's workdir.
        row: A row of its table, trained or not; the first by default.
        options: Changes to the run's `gr2_jax.search.searcher.SearchOptions`.

    Raises:
        UserError: There is no run, no such row or option, or the row is not trained yet.
    """
    keep_compiled_programs()
    return open_row(directory, row, options=options)
