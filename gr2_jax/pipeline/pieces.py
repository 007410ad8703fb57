"""Pieces of what a stage makes, each of a range of documents: many processes make them, and a killed job goes on from
those that are whole.

A piece is a folder with its files and the checksums of all. It appears with its name when it is whole.
"""

import abc
import os
import shutil
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from gr2_jax.buckets import url_of
from gr2_jax.checksums import check_files, checksums_of, sealed, unsealed
from gr2_jax.errors import UserError
from gr2_jax.files import put_in_place, read_json, reading, write_json, writing
from gr2_jax.hosts import process_count

_RECORD, _CHECKSUMS = "piece.json", "crc32"


class Piece(abc.ABC):
    """What is made of the documents `start` to `stop`, in the folder `path`, whose name changes with whatever decides
    the files."""

    path: Path
    start: int
    stop: int

    @abc.abstractmethod
    def write(self, out: Path) -> None:
        """Writes the files into an empty folder."""

    def is_whole(self) -> bool:
        """Whether its files are as they were written."""
        record = self.path / _RECORD
        try:
            with reading(record):
                check_files(self.path, unsealed(read_json(record), record)[_CHECKSUMS])
        except UserError:
            return False
        return True

    def make(self) -> None:
        """Writes it, in the place of a damaged one."""
        partial = self.path.with_name(f"{self.path.name}.{socket.gethostname()}-{os.getpid()}.partial")
        with writing(self.path):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            try:
                self.write(partial)
                write_json(partial / _RECORD, sealed({_CHECKSUMS: checksums_of(partial, partial.iterdir())}))
                self._put(partial)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise

    def _put(self, partial: Path) -> None:
        try:
            put_in_place(partial, self.path)
        except UserError:
            if not self.is_whole():
                raise
            shutil.rmtree(partial, ignore_errors=True)  # another host put the same there in this moment

    def make_if_missing(self) -> None:
        if not self.path.is_dir():
            self.make()


AnyPiece = TypeVar("AnyPiece", bound=Piece)


def hosts_share(root: Path) -> bool:
    """Whether every host makes its share of the pieces. Where the workdir is in a bucket the first makes all: each host
    works on a copy of its own there."""
    return process_count() > 1 and url_of(root) is None


def missing_in_share(pieces: Sequence[AnyPiece], host: int, hosts: int) -> list[AnyPiece]:
    """The pieces of one host's share that are not there yet."""
    return [piece for piece in pieces[host::hosts] if not piece.path.is_dir()]


def remove_pieces(directory: Path) -> None:
    """Removes a folder of pieces that are joined, and the workdir's folder of all pieces with the last of them."""
    shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError):
        directory.parent.rmdir()
