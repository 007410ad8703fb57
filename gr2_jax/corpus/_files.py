"""Reads text files and folders; errors name the file and the line.

A file may be a pipe, which can be read only once: `open_bytes` opens a path once and looks at its beginning. Readers
that come twice say so with `passes` or `refuse_pipes`.
"""

import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TypeVar

from gr2_jax import files
from gr2_jax.errors import UserError, nearest

T = TypeVar("T")
_BROKEN_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)

_GZIP = b"\x1f\x8b"
_LONGEST = 1 << 28  # bytes of a line: a packed file may hold a thousand times its own
_NAMED = 10  # neighbours of a missing file
# Those that are not white space, and the byte order mark: C libraries end a text at NUL, and readers drop the mark.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff]")


def existing_folder(directory: Path) -> Path:
    """Returns the folder, or raises UserError that names the nearest existing folder."""
    if directory.is_dir():
        return directory
    if directory.exists():
        raise UserError(
            f"{directory} is neither a folder nor a file of documents (.jsonl, .json, .csv, .tsv or .txt); or name "
            "`apidocs` or `irds:<id>`"
        )
    parent = next((parent for parent in directory.absolute().parents if parent.is_dir()), Path("/"))
    # A neighbour can only have been meant if the folder's own parent exists.
    near = [child.name for child in parent.iterdir()] if parent == directory.absolute().parent else []
    hint = nearest(directory.name, near) if near else "that folder exists, its subfolder does not"
    raise UserError(f"there is no folder or file {directory}; in {parent}: {hint} (or name `apidocs` or `irds:<id>`)")


def existing_file(path: Path) -> Path:
    """Returns the file, or raises UserError that names what its folder holds."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: give a file")
    if path.exists():
        return path
    parent = path.parent
    present = sorted(child.name for child in parent.iterdir()) if parent.is_dir() else []
    more = f" and {len(present) - _NAMED} more" if len(present) > _NAMED else ""
    raise UserError(f"there is no {path.name} in {parent}; it holds: {', '.join(present[:_NAMED]) or 'nothing'}{more}")


def is_there(path: Path) -> bool:
    """Whether the path is a file or a pipe."""
    return path.exists() and not path.is_dir()


def plain_or_gzip(path: Path) -> Path:
    """Returns the path, or that of its .gz file where only the .gz exists."""
    packed = path.with_name(path.name + ".gz")
    return packed if is_there(packed) and not is_there(path) else path


class ReadTwice(UserError):
    """A pipe was to be read again."""


def refuse_pipes(paths: Iterable[Path]) -> None:
    """Raises ReadTwice that names the first pipe."""
    for path in paths:
        if is_there(path) and not path.is_file():
            raise ReadTwice(f"{path} is a pipe, and this reads it more than once: save its contents in a file")


def passes(paths: Iterable[Path], read: Callable[[Path], Iterable[T]]) -> Callable[[], Iterator[T]]:
    """Returns a function whose every call starts a new pass over the files; the second raises ReadTwice for a pipe."""
    paths, begun = list(paths), False

    def start() -> Iterator[T]:
        nonlocal begun
        if begun:
            refuse_pipes(paths)
        begun = True
        return chain.from_iterable(map(read, paths))

    return start


class _Filled(io.RawIOBase):
    """A file whose reads give as many bytes as are asked for, unless it ends, however few at a time a pipe gives: a
    `peek` at its beginning shows enough to tell formats apart."""

    def __init__(self, file: BinaryIO):
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedReader]:
    """Opens a file or pipe once; it may be gzip-compressed, whatever its name.

    Raises UserError for a file that is missing or may not be read and, when it is read, for damaged gzip.
    """
    try:
        stored = existing_file(path).open("rb")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    with stored:
        file = io.BufferedReader(_Filled(stored))
        packed = file.peek(2)[:2] == _GZIP
        try:
            yield io.BufferedReader(_Filled(gzip.GzipFile(fileobj=file))) if packed else file
        except _BROKEN_GZIP as error:
            raise UserError(f"{path} cannot be unpacked: {error}") from None


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields (number from 1, line) for the lines that are not blank, without line ends (LF, CRLF) or byte order mark.

    Raises UserError for a missing file, a line that is not UTF-8 or endless, or a damaged gzip file.
    """
    number = 0
    with open_bytes(path) as file:
        try:
            for number, raw in enumerate(iter(partial(file.readline, _LONGEST + 1), b""), 1):
                if len(raw) > _LONGEST:
                    raise UserError(f"{path}, line {number}: it is longer than {_LONGEST:,} bytes")
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                if line.strip():
                    yield number, line
        except UnicodeDecodeError as error:
            raise UserError(f"{path}, line {number}: not UTF-8 text ({error.reason} at byte {error.start})") from None
        except _BROKEN_GZIP as error:
            raise UserError(f"{path} cannot be unpacked after line {number}: {error}") from None


def contents(path: Path) -> bytes:
    """Returns all bytes of a file or pipe, unpacked; raises UserError as `lines` does."""
    with open_bytes(path) as file:
        return file.read()


def number(text: str) -> float:
    """Returns the number that a text such as `-1.5e3` writes; NaN for anything else, such as `1_0` and digits of other
    scripts, which Python's `float` takes."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


def check_id(kind: str, identifier: str, place: str) -> str:
    """Returns the id of a document or query, or raises UserError if it is empty or contains white space or a control
    character."""
    if fits_a_run(identifier):
        return identifier
    if not identifier:
        fault = "is empty"
    else:
        fault = f"contains {'white space' if identifier.split() != [identifier] else 'a control character'}"
    raise UserError(f"{place}: the {kind} id {identifier!r} {fault}, which qrels and run files do not allow")


def fits_a_run(identifier: str) -> bool:
    """Whether an id can be a field of a run's line: not empty, without white space and control characters."""
    return identifier.split() == [identifier] and not _CONTROL.search(identifier)


def check_ids(line: str, query: str, document: str, place: str) -> None:
    """Raises UserError if an id, which is one of the fields of the line, contains a control character."""
    if _CONTROL.search(line):
        check_id("query", query, place)
        check_id("document", document, place)


def check_query_text(query: str, text: str, place: str) -> str:
    """Returns the text of a query, or raises UserError if it is blank."""
    if not text.strip():
        raise UserError(f"{place}: the query {query!r} has no text")
    return text


def read_object(path: Path) -> dict:
    """Reads a file with one JSON object; raises UserError that names the file if it holds anything else."""
    return parse_object(files.read_text(path), str(path))


def parse_object(text: str, place: str) -> dict:
    """Parses a JSON object, or raises UserError that names the place."""
    record = files.parse_json(text, place, strict=True)
    if not isinstance(record, dict):
        raise UserError(f"{place}: expected a JSON object, found {shown(text)}")
    return record


def id_field(record: dict, name: str, kind: str, place: str) -> str:
    """Returns the id that the record holds under `name`, a string or a whole number."""
    if name not in record:
        raise UserError(f"{place}: a {kind} needs the field {name!r}; found: {', '.join(record)}")
    given = record[name]
    return check_id(kind, str(given) if type(given) is int else text_field(record, name, place), place)


def text_field(record: dict, name: str, place: str) -> str:
    """Returns the string under `name`, with `?` for half a surrogate pair, which JSON can hold and UTF-8 cannot."""
    value = record[name]
    if not isinstance(value, str):
        raise UserError(f"{place}: the field {name!r} must be a string, found {shown(json.dumps(value))}")
    return clean(value)


def clean(text: str) -> str:
    """Returns the text with `?` for half a surrogate pair, which JSON can hold and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def optional_text(record: dict, name: str, place: str) -> str:
    """Returns the string under `name`, "" if it is missing or null."""
    return "" if record.get(name) is None else text_field(record, name, place)


def shown(text: str) -> str:
    """Returns the beginning of a text, quoted."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
