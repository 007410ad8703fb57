"""Reads text files and folders; errors name the file and the line."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gr2_jax import files
from gr2_jax.errors import UserError, nearest

BROKEN_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)
"""The exceptions raised by reading a damaged or truncated gzip file."""


def existing_folder(directory: Path) -> Path:
    """Returns the folder, or raises UserError that names the nearest existing folder."""
    if directory.is_dir():
        return directory
    parent = next((parent for parent in directory.absolute().parents if parent.is_dir()), Path("/"))
    # A neighbour can only have been meant if the folder's own parent exists.
    near = [child.name for child in parent.iterdir() if child.is_dir()] if parent == directory.absolute().parent else []
    hint = nearest(directory.name, near) if near else "that folder exists, its subfolder does not"
    raise UserError(
        f"there is no collection folder {directory}; in {parent}: {hint} (or name `apidocs` or `irds:<id>`)"
    )


def existing_file(path: Path) -> Path:
    """Returns the file, or raises UserError that names what its folder holds."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: give a file")
    if path.exists():
        return path
    parent = path.parent
    present = sorted(child.name for child in parent.iterdir()) if parent.is_dir() else []
    raise UserError(f"there is no {path.name} in {parent}; it holds: {', '.join(present) or 'nothing'}")


def plain_or_gzip(path: Path) -> Path:
    """Returns the path, or that of its .gz file where only the .gz exists."""
    packed = path.with_name(path.name + ".gz")
    return packed if packed.is_file() and not path.is_file() else path


def open_bytes(path: Path) -> BinaryIO:
    """Opens a file that may be gzip-compressed, whatever its name; a pipe, which can be read only once, is one too."""
    file = existing_file(path).open("rb")
    return gzip.open(file, "rb") if file.peek(2)[:2] == b"\x1f\x8b" else file


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields (number from 1, line) for the lines that are not blank, without line ends (LF, CRLF) or byte order mark.

    Raises UserError for a missing file, a line that is not UTF-8 or a damaged gzip file.
    """
    number = 0
    with open_bytes(path) as file:
        try:
            for number, raw in enumerate(file, 1):
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                if line.strip():
                    yield number, line
        except UnicodeDecodeError as error:
            raise UserError(f"{path}, line {number}: not UTF-8 text ({error.reason} at byte {error.start})") from None
        except BROKEN_GZIP as error:
            raise UserError(f"{path} cannot be unpacked after line {number}: {error}") from None


def check_id(kind: str, identifier: str, place: str) -> str:
    """Returns the id of a document or query, or raises UserError if it is empty or contains white space."""
    if not fits_a_run(identifier):
        fault = "contains white space" if identifier else "is empty"
        raise UserError(f"{place}: the {kind} id {identifier!r} {fault}, which qrels and run files do not allow")
    return identifier


def fits_a_run(identifier: str) -> bool:
    """Whether an id can be a field of a run's line: not empty and without white space."""
    return identifier.split() == [identifier]


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
    record = files.parse_json(text, place)
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
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def optional_text(record: dict, name: str, place: str) -> str:
    """Returns the string under `name`, "" if it is missing or null."""
    return "" if record.get(name) is None else text_field(record, name, place)


def shown(text: str) -> str:
    """Returns the beginning of a text, quoted."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
