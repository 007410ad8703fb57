"""Cuts dump files into parts and reads the bytes of a part, compressed or not."""

import bz2
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from gr2_jax.errors import UserError

Opener = Callable[[str], BinaryIO]  # opens a path for reading raw (still compressed) bytes; the file must be seekable

_BLOCK = 256 << 10
_UNPACKED = 1 << 20  # bytes of a bz2 stream's text in memory: repetitions shrink a million times
_STREAM = re.compile(rb"BZh[1-9]1AY&SY")  # a bz2 stream's header and the magic number of its first block
_EMPTY_STREAM = re.compile(rb"BZh[1-9]\x17rE8P\x90")
_HEADER = 10  # bytes of either


def open_binary(path: str) -> BinaryIO:
    """Opens a local file. For Beam: `FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)`."""
    return open(path, "rb")


@dataclass(frozen=True)
class Part:
    """A byte range of a dump file, the unit of parallel work.

    A part owns the pages that begin in bz2 streams that begin in [start, end); in an uncompressed file, the pages that
    begin in [start, end). So the parts of a file give each page exactly once, wherever the file is cut.
    """

    path: str
    start: int = 0  # in bytes of the file as stored, that is, compressed
    end: int | None = None  # None: to the end of the file


@dataclass(frozen=True)
class Chunk:
    """Decompressed bytes and their position."""

    data: bytes
    stream: int | None  # offset of their bz2 stream in the file; None in an uncompressed file
    position: int  # offset of the first byte in the decompressed stream (in an uncompressed file: in the file)
    owned: bool  # whether the part owns what begins here


def cut(path: str, size: int, *, chunk: int = 32 << 20, open: Opener = open_binary) -> list[Part]:
    """Cuts a file of `size` bytes into parts of `chunk` bytes; a single-stream .bz2, which cannot be cut, is one part.

    Raises UserError for a file that is empty, or neither XML nor bz2.
    """
    with open(path) as file:
        compressed = _is_compressed(file, path)
        if compressed and _find_stream(file, _HEADER, chunk) is None:
            return [Part(path)]
    starts = range(0, max(size, 1), chunk)
    return [Part(path, start, start + chunk if start + chunk < size else None) for start in starts]


def read_chunks(part: Part, *, open: Opener = open_binary) -> Iterator[Chunk]:
    """Yields the part's bytes in order, then the bytes after it up to the end of the file, as not owned.

    The caller stops after the end of the last page that it owns. A part in which no stream begins yields nothing.
    Raises UserError, with the place, for damaged or truncated bz2 data.
    """
    with open(part.path) as file:
        read = _read_bz2 if _is_compressed(file, part.path) else _read_plain
        yield from read(file, part)


def _is_compressed(file: BinaryIO, path: str) -> bool:
    head = file.read(512)
    if head[:3] == b"BZh":
        return True
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        return False
    fault = "begins with neither XML (in UTF-8) nor bz2 data" if head else "is empty"
    raise UserError(f"{path} {fault}; expected a MediaWiki dump, .xml or .xml.bz2 (unpack other formats first)")


def _read_plain(file: BinaryIO, part: Part) -> Iterator[Chunk]:
    file.seek(part.start)
    position = part.start
    while True:
        owned = part.end is None or position < part.end
        data = file.read(min(_BLOCK, part.end - position) if owned and part.end is not None else _BLOCK)
        if not data:
            return
        yield Chunk(data, None, position, owned)
        position += len(data)


def _read_bz2(file: BinaryIO, part: Part) -> Iterator[Chunk]:
    stream = _find_stream(file, part.start, part.end) if part.start else 0
    if stream is None:
        return
    file.seek(stream)
    pending = file.read(_BLOCK)
    while pending:
        # The first stream after the part is checked too: the next part searches for its first stream and would skip it.
        if not (_STREAM.match(pending) or _EMPTY_STREAM.match(pending)):
            raise UserError(f"{part.path}: damaged: no bz2 stream begins at byte {stream} as expected; copy it again")
        owned = part.end is None or stream < part.end
        length, pending = yield from _read_stream(file, part.path, pending, stream, owned)
        stream += length
        if len(pending) < _HEADER:
            pending += file.read(_BLOCK)


def _read_stream(file: BinaryIO, path: str, pending: bytes, stream: int, owned: bool):
    """Yields one stream's chunks and returns its compressed length and the bytes read after it."""
    decompressor = bz2.BZ2Decompressor()
    position = consumed = 0
    while not decompressor.eof:
        place = f"the bz2 stream that begins at byte {stream}, {position} bytes into its text"
        if decompressor.needs_input:
            pending = pending or file.read(_BLOCK)
            if not pending:
                raise UserError(f"{path}: the file ends inside {place}; copy it again")
        try:
            data = decompressor.decompress(pending, _UNPACKED)
        except (OSError, ValueError):
            raise UserError(f"{path}: damaged bz2 data after {place}; copy it again") from None
        consumed += len(pending)
        pending = b""
        yield Chunk(data, stream, position, owned)
        position += len(data)
    return consumed - len(decompressor.unused_data), decompressor.unused_data


def _find_stream(file: BinaryIO, start: int, end: int | None) -> int | None:
    """Returns the offset of the first non-empty bz2 stream that begins in [start, end), or None."""
    file.seek(start)
    position, window = start, b""
    while end is None or position < end:
        data = file.read(_BLOCK)
        if not data:
            return None
        window += data
        found = _STREAM.search(window)
        if found:
            begin = position + found.start()
            return begin if end is None or begin < end else None
        kept = window[-(_HEADER - 1) :]
        position += len(window) - len(kept)
        window = kept
    return None
