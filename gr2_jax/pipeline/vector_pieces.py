"""The vectors of all documents, which a row's model makes: of a large collection in pieces, which the hosts of a job
share and a killed job goes on from."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gr2_jax.hosts import is_first, on_all, process_count, process_index, wait_until_seen
from gr2_jax.pipeline.large import is_large
from gr2_jax.pipeline.pieces import Piece, hosts_share, missing_in_share, remove_pieces
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import Stage
from gr2_jax.progress import progress, track

SIZE = 65_536  # documents in a piece: on 1, 2, 4, 8 or 16 devices a multiple of what models read at once

Advance = Callable[[int], None]
Write = Callable[[Path, range, Advance], None]
"""Writes the vectors of some documents into a folder; calls the function with how many more are done."""
Join = Callable[[Path, Iterable[Path]], None]
"""Writes the vectors in some folders into one, in order."""


@dataclasses.dataclass(frozen=True)
class VectorPiece(Piece):
    """The vectors of the documents `start` to `stop`."""

    path: Path
    start: int
    stop: int
    write_rows: Write
    advance: Advance = lambda documents: None

    def write(self, out: Path) -> None:
        self.write_rows(out, range(self.start, self.stop), self.advance)


def build_vectors(run: Run, row: str, stage: Stage, label: str, opened: Callable[[], tuple[Write, Join]]) -> None:
    """Builds a row's stage of vectors, with what `opened` gives, unless it is there. Every process of a job calls this.
    The files are those of one process that makes no pieces, byte for byte.

    Raises:
        UserError: A process cannot make its share: all processes raise then.
    """
    pieces = run.paths.vector_pieces(row)
    if not stage.take_over():
        write, join = on_all(opened)
        if is_large(run):
            _build_in_pieces(run, stage, pieces / stage.fingerprint, label, write, join)
        else:
            _build_at_once(run, stage, label, write)
    if is_first():
        remove_pieces(pieces)  # a killed job's of other settings, too


def _build_at_once(run: Run, stage: Stage, label: str, write: Write) -> None:
    def make(out: Path) -> None:
        documents = len(run.doc_ids)
        with progress(documents, label) as bar:
            write(out, range(documents), bar.advance)

    stage.build(make)


def _build_in_pieces(run: Run, stage: Stage, directory: Path, label: str, write: Write, join: Join) -> None:
    every, shared = range(len(run.doc_ids)), hosts_share(run.paths.root)
    pieces = [
        VectorPiece(directory / f"{rows.start:010d}-{rows.stop:010d}", rows.start, rows.stop, write)
        for rows in (every[start : start + SIZE] for start in every[::SIZE])
    ]
    if shared:
        on_all(lambda: _make_share(pieces, label, process_index(), process_count()))

    def make(out: Path) -> None:
        if shared:
            for piece in pieces:
                wait_until_seen(piece.path)
        _make_share(pieces, label)
        join(out, _whole(pieces, label))

    stage.build(make)


def _make_share(pieces: list[VectorPiece], label: str, host: int = 0, hosts: int = 1) -> None:
    """Makes those of one host's share that are missing, one after the other: each takes all devices of the host."""
    missing = missing_in_share(pieces, host, hosts)
    total, left = (sum(piece.stop - piece.start for piece in some) for some in (pieces[host::hosts], missing))
    with progress(total, label, initial=total - left) as bar:
        for piece in missing:
            dataclasses.replace(piece, advance=bar.advance).make()


def _whole(pieces: list[VectorPiece], label: str) -> Iterator[Path]:
    """Their folders; one that was damaged since it was made is made again."""
    for piece in track(pieces, len(pieces), f"joining pieces ({label})"):
        if not piece.is_whole():
            piece.make()
        yield piece.path
