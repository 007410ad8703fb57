"""The three files of a collection, read with the place of whatever is malformed in them."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from gr2_jax.errors import UserError, nearest


def existing_folder(directory: Path) -> Path:
    """Returns the folder, or raises UserError that names the nearest folder there is."""
    if directory.is_dir():
        return directory
    parent = next((parent for parent in directory.absolute().parents if parent.is_dir()), Path("/"))
    # Only where the folder's own parent exists can a neighbour have been meant.
    near = [child.name for child in parent.iterdir() if child.is_dir()] if parent == directory.absolute().parent else []
    hint = nearest(directory.name, near) if near else "that folder exists, its subfolder does not"
    raise UserError(
        f"there is no collection folder {directory}; in {parent}: {hint} (or name `apidocs` or `irds:<id>`)"
    )


def data_files(directory: Path) -> tuple[Path, Path, Path]:
    """Returns the files of the documents (documents.jsonl, or its .gz where only that is there), queries and qrels."""
    plain, packed = directory / "documents.jsonl", directory / "documents.jsonl.gz"
    documents = packed if packed.is_file() and not plain.is_file() else plain
    return documents, directory / "queries.tsv", directory / "qrels.txt"


def existing_file(path: Path) -> Path:
    """Returns the file, or raises UserError that names what its folder holds."""
    if path.is_file():
        return path
    present = sorted(child.name for child in path.parent.iterdir())
    raise UserError(f"there is no {path.name} in {path.parent}; it holds: {', '.join(present) or 'nothing'}")


def check_id(kind: str, identifier: str, place: str) -> str:
    """Returns the id of a document or query, or raises UserError for one that cannot be a field of a run's line."""
    if identifier.split() != [identifier]:
        fault = "contains white space" if identifier else "is empty"
        raise UserError(f"{place}: the {kind} id {identifier!r} {fault}, so that no qrels or run file can hold it")
    return identifier


def check_query_text(query: str, text: str, place: str) -> str:
    """Returns the text of a query, or raises UserError where there is none."""
    if not text.strip():
        raise UserError(f"{place}: the query {query!r} has no text")
    return text


def read_documents(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yields (doc_id, title, text, url) from JSON lines; a null in the last three is "", an id may be a whole number.

    The title and the URL may be missing.
    """
    for number, line in _lines(path):
        place = f"{path}, line {number}"
        record = _parse_json(line, place)
        for name in ("doc_id", "text"):
            if name not in record:
                raise UserError(f"{place}: a document needs the field {name!r}; found: {', '.join(record)}")
        given = record["doc_id"]
        doc_id = str(given) if type(given) is int else _string(record, "doc_id", place)
        title, text, url = (
            "" if record.get(name) is None else _string(record, name, place) for name in ("title", "text", "url")
        )
        yield check_id("document", doc_id, place), title, text, url


def _string(record: dict, name: str, place: str) -> str:
    if not isinstance(record[name], str):
        raise UserError(f"{place}: the field {name!r} must be a string, found {_shown(json.dumps(record[name]))}")
    return record[name]


def read_queries(path: Path) -> dict[str, str]:
    """Reads `id<TAB>text` lines."""
    queries: dict[str, str] = {}
    for number, line in _lines(path):
        query, tab, text = line.partition("\t")
        if not tab:
            raise UserError(f"{path}, line {number}: expected `id<TAB>text`, found no tab in {_shown(line)}")
        query = check_id("query", query.strip(), f"{path}, line {number}")
        if query in queries:
            raise UserError(f"{path}, line {number}: the query id {query!r} is used twice")
        queries[query] = check_query_text(query, text.strip(), f"{path}, line {number}")
    return queries


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Reads TREC judgements, `qid 0 docid grade`; a grade may be negative, a pair repeated with the same grade."""
    qrels: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        fields = line.split()
        if len(fields) != 4:
            raise UserError(
                f"{path}, line {number}: expected 4 fields `qid 0 docid grade`, found {len(fields)} in {_shown(line)}"
            )
        query, _, doc, grade = fields
        try:
            value = int(grade)
        except ValueError:
            raise UserError(f"{path}, line {number}: the grade must be a whole number, found {grade!r}") from None
        before = qrels.setdefault(query, {}).setdefault(doc, value)
        if before != value:
            raise UserError(f"{path}, line {number}: query {query!r} judges {doc!r} as {value}, but as {before} above")
    return qrels


def read_json(path: Path) -> dict:
    """Reads a file that holds one JSON object."""
    return _parse_json(path.read_text("utf-8"), str(path))


def _parse_json(text: str, place: str) -> dict:
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{place}: not valid JSON ({error.msg} at column {error.colno}): {_shown(text)}") from None
    if not isinstance(record, dict):
        raise UserError(f"{place}: expected a JSON object, found {_shown(text)}")
    return record


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the lines that are not blank, numbered from 1, without their ends (LF or CRLF) or a byte order mark."""
    existing_file(path)
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="\n") as file:
            yield from ((number, line.rstrip("\r\n")) for number, line in enumerate(file, 1) if line.strip())
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise UserError(
            f"{path} cannot be read as UTF-8 text{' in gzip' if opener is gzip.open else ''}: {error}"
        ) from None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
