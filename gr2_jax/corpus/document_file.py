"""One file of documents: JSON lines, a JSON list, a table (CSV, TSV), or a text whose lines are the documents."""

import csv
import io
import re
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from gr2_jax import files
from gr2_jax.corpus import _files
from gr2_jax.corpus._records import document_of, fields_of, lacks_text
from gr2_jax.corpus.collection import CollectionStream, Document
from gr2_jax.errors import UserError, nearest

_SEPARATOR = re.compile(r"sep=(.)")
_POSITIONS = {1: ("text",), 2: ("id", "text"), 3: ("id", "title", "text")}  # of a table without a header


def open_document_file(path: Path) -> CollectionStream:
    """Opens a file of documents without queries, which may be gzip-compressed, by the end of its name.

    .jsonl, .ndjson     an object, or a string, per line
    .json               a list of them
    .csv, .tsv, .tab    a row per document: with a header that names the columns, else id, title and text, id and text,
                        or text alone; a CSV file's fields may be quoted and hold line breaks
    .txt                a line per document

    Objects and headers may use the usual names of fields, see `gr2_jax.corpus._records`. A document without an id gets
    its number, from 1. Raises UserError for any other file, and with file and line for anything malformed.
    """
    ending = _ending(path)
    if ending not in _READERS:
        raise UserError(f"{path} is no file of documents: its name ends in {ending!r}; {nearest(ending, _READERS)}")
    documents = _files.passes([_files.existing_file(path)], _READERS[ending])
    return CollectionStream(path.name.partition(".")[0], documents, {}, {}, {"source": _files.clean(str(path))})


def is_document_file(path: Path) -> bool:
    """Whether a path is a file, or a pipe, whose name ends as those of `open_document_file` do."""
    return _files.is_there(path) and _ending(path) in _READERS


def is_record_file(path: Path) -> bool:
    """Whether the name of a file says that it holds records or rows."""
    return _ending(path) in _READERS.keys() - {".txt"}


def read_records(path: Path) -> Iterator[Document]:
    """Reads the documents of an `is_record_file`."""
    return _READERS[_ending(path)](path)


def _ending(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _json_lines(path: Path) -> Iterator[Document]:
    for number, line in _files.lines(path):
        place = f"{path}, line {number}"
        yield document_of(files.parse_json(line, place, strict=True), place, number)


def _json_list(path: Path) -> Iterator[Document]:
    try:
        text = _files.contents(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    records = files.parse_json(text, str(path), strict=True)
    if not isinstance(records, list):
        raise UserError(
            f"{path}: expected a JSON list of documents, found {_files.shown(text)}; with an object per line its name "
            "must end in .jsonl"
        )
    for number, record in enumerate(records, 1):
        yield document_of(record, f"{path}, entry {number}", number)


def _comma_separated(path: Path) -> Iterator[Document]:
    yield from _table(path, None)


def _tab_separated(path: Path) -> Iterator[Document]:
    yield from _table(path, "\t")


def _table(path: Path, delimiter: str | None) -> Iterator[Document]:
    """A tab separates fields that are never quoted. Else the more frequent of comma and semicolon in the first line
    does, unless Excel's `sep=;` says which."""
    csv.field_size_limit(sys.maxsize)
    with _files.open_bytes(path) as file:
        text = io.TextIOWrapper(file, "utf-8-sig", newline="")
        try:
            before, first = next(((i, line) for i, line in enumerate(text) if line.strip()), (0, ""))
            if said := _SEPARATOR.fullmatch(first.strip()):
                delimiter, before, first = said[1], before + 1, text.readline()
            if delimiter is None:
                delimiter = max(",;", key=first.count)
            quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
            rows = csv.reader(chain([first], text), delimiter=delimiter, quoting=quoting, strict=True)
            yield from _documents(rows, path, before)
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not UTF-8 text: {error.reason}; save it as UTF-8") from None
        except csv.Error as error:
            raise UserError(f"{path}, line {before + rows.line_num}: {error}") from None


def _documents(rows: "csv._reader", path: Path, before: int) -> Iterator[Document]:
    """The documents of a table's rows, which come after so many lines of the file."""
    names: tuple[str, ...] = ()
    headed, number = False, 0
    for row in rows:
        if not any(field.strip() for field in row):
            continue
        place = f"{path}, line {before + rows.line_num}"
        if not names:
            known = fields_of(row)
            headed = not known.keys().isdisjoint({"text", "title"})
            if "doc_id" in known and not headed:
                raise UserError(f"{place}: {lacks_text(row)}")
            names = tuple(row) if headed else _POSITIONS[min(len(row), 3)]
            if headed:
                continue
        number += 1
        last = len(names) - 1
        fields = row if headed else [*row[:last], " ".join(row[last:])]
        if len(fields) != len(names):
            raise UserError(f"{place}: {len(row)} fields, and {len(names)} in the first row")
        if not headed and not _files.fits_a_run(fields[0].strip() or "1") and len(names) > 1:
            raise UserError(
                f"{place}: {_files.shown(fields[0])} is no id: without a header that names a column text or title, the "
                f"columns are {', '.join(names)}"
            )
        yield document_of(dict(zip(names, fields, strict=True)), place, number)


def _text_lines(path: Path) -> Iterator[Document]:
    for number, line in _files.lines(path):
        yield document_of(line, f"{path}, line {number}", number)


_READERS = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_list,
    ".csv": _comma_separated,
    ".tsv": _tab_separated,
    ".tab": _tab_separated,
    ".txt": _text_lines,
}
