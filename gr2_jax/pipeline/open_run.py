"""Opening what a run left, from its directory alone: which experiment it is, and a searcher of one of its rows."""

import dataclasses
import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from gr2_jax.buckets import local_copy
from gr2_jax.corpus import Document, document_of
from gr2_jax.errors import UserError
from gr2_jax.experiment.loading import from_record
from gr2_jax.files import read_json, reading
from gr2_jax.pipeline.bundle.contents import is_bundle
from gr2_jax.pipeline.further_documents import Changed, with_changes
from gr2_jax.pipeline.rows import ROWS
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes import SCHEMES
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.search.opened import OpenRetriever, check_changes

_NUMBER = re.compile(r"[0-9]{1,18}")  # as documents without an id get; longer ones are somebody's own
Record = str | Mapping[str, Any] | Document


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
    if is_bundle(paths.root):
        raise UserError(f"{paths.root} is a bundle of a run's row: `gr2 search` opens it, other commands need the run")
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


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class RunRetriever(OpenRetriever):
    """A row of a run, ready to search.

    models    for each trained model that the row reads: the fingerprints of its training, vocabulary and docids, and
              the checkpoint's step
    changes   what `changed` did to the documents last; None: they are those of the training
    """

    run: Run
    models: dict[str, dict[str, str | int]]
    changes: Changed | None = None

    def changed(self, add: Record | Iterable[Record] = (), *, remove: str | Collection[str] = ()) -> "RunRetriever":
        """The same row over a collection that changed since: `retriever.changed(add=texts, remove="old/*")`. Nothing is
        trained: the documents that are added get docids by the row's scheme and vectors by its model. Where some are
        added, `SearchOptions.smoothing` is 1 unless it is above 0 already; `with_options` after that sets another.

        Args:
            add: Documents, one or several, each a text, a `Document` or a mapping as `gr2_jax.index` takes them. One
                with the id of a document takes its place, if it differs; one without an id gets a new number.
            remove: Document ids, or patterns of them with *, ? and [...] as a shell has them; one, or several.

        Raises:
            UserError: The row writes no docids, or its scheme has none for later documents; one of the ids or patterns
                is of no document; two documents that are added have the same id; or nothing is left.
        """
        records = [add] if isinstance(add, str | Mapping | Document) else list(add)
        # a document without an id gets a number that no other has
        last = max((int(doc_id) for doc_id in self.documents if _NUMBER.fullmatch(doc_id)), default=0)
        documents = [document_of(record, f"added document {i}", last + i) for i, record in enumerate(records, start=1)]
        removed = set(self._matching(remove))
        changes = with_changes(
            self.run, self.row, self.searcher, dict(self.documents), added=documents, removed=removed
        )
        return dataclasses.replace(self, searcher=changes.retriever, documents=changes.documents, changes=changes)


def open_row(
    directory: str | os.PathLike,
    row: str | None = None,
    *,
    step: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> RunRetriever:
    """`open_row_of` the run in a directory."""
    return open_row_of(open_run(directory), row, step=step, options=options)


def open_row_of(
    run: Run, row: str | None = None, *, step: int | None = None, options: Mapping[str, Any] | None = None
) -> RunRetriever:
    """A run's row, by default the first of its config, with the checkpoint of `step`, by default the newest, and with
    changes to the run's `SearchOptions`. A row that is still in training can be opened, too."""
    found, options = run.row(row), dict(options or {})
    check_changes(run.experiment.evaluation.search, options)
    models = found.models(run, step)
    searcher = found.open(run, step).with_options(**options)
    return RunRetriever(searcher, found.name, run.documents, run.paths.root, run, models)
