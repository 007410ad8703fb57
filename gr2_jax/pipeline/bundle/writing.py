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
from gr2_jax.pipeline.rows import System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import reading_stage
from gr2_jax.search.retriever import Retriever


class Written(NamedTuple):
    """What `write_bundle` wrote; `parts`: part of the bundle -> its bytes."""

    row: str
    documents: int
    parts: dict[str, int]


def write_bundle(run: Run, directory: Path, row: str | None = None, *, texts: bool = True) -> Written:
    """Writes a row of a run, by default the first, with its newest checkpoint.

    Args:
        directory: A new folder, or an older bundle, which is replaced.
        texts: Whether the documents' titles and texts go with it, or their ids alone.

    Raises:
        UserError: The row writes no docids or is not trained, or `directory` holds something else.
    """
    found = _generative(run, row)
    _check_place(directory)
    retriever = found.open(run)
    contents = _contents(run, found, retriever, texts)
    with _replaced(directory) as out:
        write_parameters(out, contents.model, retriever.params)
        with reading_stage(run.paths.vocabulary, VOCABULARY) as path:
            shutil.copyfile(path, out / VOCABULARY)
        retriever.trie.save(out / TRIE)
        if contents.compares is not None:
            (out / VECTORS).mkdir()
            retriever.docid_vectors.save(out / VECTORS)
        if texts:
            write_documents(out / DOCUMENTS, run.corpus.documents)
        else:
            write_text(out / DOC_IDS, (f"{doc_id}\n" for doc_id in run.doc_ids))
        parts = parts_of(out, contents)
        write_text(out / CARD, [card(run, contents, parts)])
        write_record(out, contents)
        open_bundle(out)  # what could not be opened is not handed on
    return Written(found.name, contents.documents, parts)


def _generative(run: Run, name: str | None) -> System:
    row = run.row(name)
    if isinstance(row, System):
        return row
    able = [other.name for other in run.rows if isinstance(other, System)]
    hint = f"give --row {able[0]}" if able else "no row of this run does"
    raise UserError(f"row {row.name} cannot be exported, because it has no model that writes docids: {hint}")


def _contents(run: Run, row: System, retriever: Retriever, texts: bool) -> Contents:
    return Contents(
        experiment=run.experiment.name,
        row=row.name,
        models=row.models(run),
        model=retriever.model.config,
        extra_ids=run.experiment.vocabulary.extra_ids,
        query_length=run.experiment.evaluation.query_length,
        query_end=run.experiment.retrieval.model.input_end,
        compares=retriever.compares,
        search=retriever.options,
        documents=len(run.doc_ids),
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
