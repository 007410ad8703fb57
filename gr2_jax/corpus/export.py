"""Surveys any source and, if asked, writes it as a folder in our own layout."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gr2_jax.corpus.beir import is_beir
from gr2_jax.corpus.collection import CollectionStream, Document
from gr2_jax.corpus.folder import write_collection
from gr2_jax.corpus.sources import open_collection
from gr2_jax.corpus.subsets import subset
from gr2_jax.corpus.surveys import DocumentTally, Survey, survey
from gr2_jax.corpus.trec import is_trec
from gr2_jax.errors import UserError
from gr2_jax.progress import say

_SECONDS_BETWEEN_LINES = 15.0


def export_collection(
    source: str, *, documents: int | None = None, seed: int = 0, output: str | Path | None = None
) -> Survey:
    """Surveys a source or, with `documents`, its `subset` of this size, and writes it to the folder `output`, if given.

    The folder has documents.jsonl, queries.tsv, qrels.txt and provenance.json, each complete or absent; writing and
    surveying take one pass. Long passes report their progress on stderr.

    Raises UserError for a source that cannot be read, for an `output` that is the source itself or a folder in BEIR's
    or TREC's layout, and for ids or queries that `write_collection` refuses.
    """
    if output is not None:
        _refuse_unfit_output(Path(output), source)
    stream = open_collection(source)
    if documents is not None:
        stream = subset(counted(stream, "choosing"), documents, seed=seed)
    if output is None:
        return survey(counted(stream, "reading"))
    tally = DocumentTally(stream)
    watched = replace(stream, documents=tally.watched)
    write_collection(counted(watched, "writing"), output)
    return tally.survey()


def _refuse_unfit_output(output: Path, source: str) -> None:
    if output.resolve() == Path(source.partition("#")[0]).resolve():
        raise UserError(f"{output} is the source itself: name another folder to write to")
    if is_beir(output) or is_trec(output):
        found = "corpus.jsonl, as in BEIR's layout" if is_beir(output) else "a folder documents, as in TREC's layout"
        raise UserError(f"{output} has {found}, which would be read instead of ours: name another folder to write to")


def counted(stream: CollectionStream, label: str) -> CollectionStream:
    """The stream, whose passes say on stderr how far they are."""

    def documents() -> Iterator[Document]:
        started = said = time.monotonic()
        for count, document in enumerate(stream.documents(), 1):
            yield document
            if time.monotonic() - said > _SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                say(f"  {label} {stream.name}: {count:,} documents, {count / (said - started):,.0f} a second")

    return replace(stream, documents=documents)
