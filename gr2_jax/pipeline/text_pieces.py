"""The texts of a large collection in pieces; joined in order they are, byte for byte, what one process would have
written."""

import dataclasses
import functools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from gr2_jax.corpus import read_rows
from gr2_jax.data.token_files import token_writer
from gr2_jax.data.vocabulary import Tokenizer
from gr2_jax.files import replacing
from gr2_jax.pipeline.pieces import Piece, missing_in_share
from gr2_jax.pipeline.texts import Texts, write_texts
from gr2_jax.pipeline.workers import in_workers
from gr2_jax.progress import progress, track

SIZE = 16_384  # documents in a piece


@dataclasses.dataclass(frozen=True)
class Source:
    """What all pieces are made of.

    pieces       the folder that they are in; its name changes with whatever decides them
    corpus       the folder with the stored documents
    vocabulary   the SentencePiece file
    """

    pieces: Path
    corpus: Path
    vocabulary: Path
    extra_ids: int
    texts: Texts


@dataclasses.dataclass(frozen=True)
class TextPiece(Piece):
    """The texts of one kind of the documents `start` to `stop`; `entities` are those documents' own."""

    source: Source
    task: str
    kind: str
    start: int
    stop: int
    entities: Mapping[str, Sequence[str]]

    @property
    def path(self) -> Path:
        return self.source.pieces / f"{self.kind}-{self.start:010d}-{self.stop:010d}"

    def write(self, out: Path) -> None:
        tokenizer, rows = _tokenizer(self.source), range(self.start, self.stop)
        documents = zip(rows, read_rows(self.source.corpus, rows), strict=True)
        examples = self.source.texts.examples(self.kind, documents, self.entities, tokenizer)
        write_texts(out, self.task, examples, tokenizer)


@functools.lru_cache(maxsize=1)
def _tokenizer(source: Source) -> Tokenizer:
    return Tokenizer(source.vocabulary, extra_ids=source.extra_ids)


def pieces_of(
    source: Source, task: str, doc_ids: Sequence[str], entities: Mapping[str, Sequence[str]]
) -> list[TextPiece]:
    """The pieces of a task, in the order in which they are joined."""
    starts = range(0, len(doc_ids), SIZE)
    own = [_those_of(doc_ids[start : start + SIZE], entities) for start in starts] if entities else [{}] * len(starts)
    return [
        TextPiece(source, task, kind, start, min(start + SIZE, len(doc_ids)), names)
        for kind in source.texts.kinds(task)
        for start, names in zip(starts, own, strict=True)
    ]


def _those_of(doc_ids: Sequence[str], entities: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {doc_id: entities[doc_id] for doc_id in doc_ids if doc_id in entities}


def make_pieces(pieces: Sequence[TextPiece], *, host: int = 0, hosts: int = 1) -> None:
    """Makes the pieces that are not there yet, of several hosts this one's share, in worker processes. Then the first
    host makes what the others have not made, their last ones first: it waits for none, and one may have ended."""
    missing = missing_in_share(pieces, host, hosts)
    if host == 0:
        missing += [piece for i, piece in reversed([*enumerate(pieces)]) if i % hosts and not piece.path.is_dir()]
    total = sum(piece.stop - piece.start for piece in pieces)
    left = sum(piece.stop - piece.start for piece in missing)
    with progress(total, f"texts of documents ({pieces[0].task})", initial=total - left) as bar:
        for piece, _ in zip(missing, in_workers(TextPiece.make_if_missing, missing), strict=True):
            bar.advance(piece.stop - piece.start)


def join_pieces(pieces: Sequence[TextPiece], directory: Path, *, ids: int) -> None:
    """Writes the task's files into a folder; a piece that was damaged since it was made is made again."""
    task = pieces[0].task
    with (
        token_writer(directory, task, ids=ids) as writer,
        replacing(directory / f"{task}.tfrecord") as partial,
        partial.open("wb") as records,
    ):
        for piece in track(pieces, len(pieces), f"joining pieces of texts ({task})"):
            if not piece.is_whole():
                piece.make()
            writer.add_files(piece.path, task)
            with (piece.path / f"{task}.tfrecord").open("rb") as file:
                shutil.copyfileobj(file, records)
