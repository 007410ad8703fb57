"""Writes a run's row as a bundle, whole or not at all; the same run gives the same bytes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from gr2_jax.buckets import is_in_bucket
from gr2_jax.corpus import write_documents
from gr2_jax.errors import UserError
from gr2_jax.files import put_in_place, refuse_occupied, write_text, writing
from gr2_jax.models.parameter_file import write_parameters
from gr2_jax.pipeline.bundle.card import card, parts_of
from gr2_jax.pipeline.bundle.contents import (
    CARD,
    DOC_IDS,
    DOCUMENTS,
    RECORD,
    TRIE,
    VECTORS,
    VOCABULARY,
    Contents,
    is_bundle,
    read_record,
    write_record,
)
from gr2_jax.pipeline.bundle.opening import open_bundle
from gr2_jax.pipeline.open_run import RunRetriever
from gr2_jax.pipeline.rows import System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import reading_stage


class Written(NamedTuple):
    """What `write_bundle` wrote; `parts`: part of the bundle -> its bytes."""

    row: str
    documents: int
    parts: dict[str, int]


def check_export(run: Run, directory: Path, row: str | None) -> str:
    """The name of the row, by default the run's first; `UserError` unless it writes docids and `directory` is new,
    empty, or a bundle and nothing else: to ask before anything is loaded."""
    found = run.row(row)
    if not isinstance(found, System):
        able = [other.name for other in run.rows if isinstance(other, System)]
        hint = f"give --row {able[0]}" if able else "no row of this run does"
        raise UserError(f"row {found.name} cannot be exported, because it has no model that writes docids: {hint}")
    _check_place(directory)
    return found.name


def write_bundle(opened: RunRetriever, directory: Path, *, texts: bool = True) -> Written:
    """Writes a row as it was opened.

    Args:
        directory: A new folder, or an older bundle, which is replaced.
        texts: Whether the documents' titles and texts go with it, or their ids alone.

    Raises:
        UserError: The row writes no docids, or `directory` holds something else.
    """
    run, retriever = opened.run, opened.searcher
    check_export(run, directory, opened.row)
    contents = _contents(opened, texts)
    with _replaced(directory) as out:
        write_parameters(out, contents.model, retriever.params)
        with reading_stage(run.paths.vocabulary, VOCABULARY) as path:
            shutil.copyfile(path, out / VOCABULARY)
        retriever.trie.save(out / TRIE)
        if contents.compares is not None:
            (out / VECTORS).mkdir()
            retriever.save_docid_vectors(out / VECTORS)
        if texts:
            write_documents(out / DOCUMENTS, opened.documents.values())
        else:
            write_text(out / DOC_IDS, (f"{doc_id}\n" for doc_id in opened.documents))
        parts = parts_of(out, contents)
        write_text(out / CARD, [card(opened, contents, parts)])
        write_record(out, contents)
        open_bundle(out)  # what could not be opened is not handed on
    return Written(opened.row, contents.documents, parts)


def _contents(opened: RunRetriever, texts: bool) -> Contents:
    experiment, retriever = opened.run.experiment, opened.searcher
    return Contents(
        experiment=experiment.name,
        row=opened.row,
        models=opened.models,
        model=retriever.model.config,
        extra_ids=experiment.vocabulary.extra_ids,
        query_length=experiment.evaluation.query_length,
        query_end=experiment.retrieval.model.input_end,
        compares=retriever.compares,
        search=retriever.options,
        documents=len(opened.documents),
        texts=texts,
    )


def _check_place(directory: Path) -> None:
    """Raises `UserError` unless the folder is new, empty, or a bundle and nothing else: it is going to be replaced."""
    if is_in_bucket(directory):
        raise UserError(f"{directory} is in a bucket: name a folder on disk, and copy it there")
    if not is_bundle(directory):
        refuse_occupied(directory)
        return
    own = {RECORD, CARD, *read_record(directory)[1]}
    others = sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())
    if other := next((name for name in others if name not in own), None):
        raise UserError(f"{directory} holds {other} beside a bundle: name a new folder")


@contextmanager
def _replaced(directory: Path) -> Iterator[Path]:
    """Yields a folder beside `directory` that takes its place when the block ends without an error."""
    directory = directory.resolve()
    partial, old = (directory.with_name(f".{directory.name}.gr2-{state}") for state in ("partial", "old"))
    with writing(directory):
        shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
        partial.mkdir(parents=True)
        try:
            yield partial
            put_in_place(partial, directory, old)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
