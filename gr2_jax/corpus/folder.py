"""Our own layout of a collection's folder: documents.jsonl[.gz], queries.tsv, qrels.txt and provenance.json."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from gr2_jax import files
from gr2_jax.corpus import _files
from gr2_jax.corpus.collection import Collection, CollectionStream, Document
from gr2_jax.corpus.qrels import check_grades, read_qrels, write_qrels
from gr2_jax.errors import UserError


def write_collection(collection: Collection | CollectionStream, directory: str | Path) -> None:
    """Writes documents.jsonl, queries.tsv, qrels.txt and provenance.json; equal collections give equal bytes.

    Each file is written under a temporary name and renamed, provenance.json last. The documents of a stream are read
    once and not held in memory.

    Raises UserError, and changes no file, for what `read_collection` would refuse: an id that is empty or contains
    white space, a query without text, or a grade outside the bound of `gr2_jax.corpus.qrels`.
    """
    stream = collection.stream() if isinstance(collection, Collection) else collection
    _check_queries_and_qrels(stream)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    files.write_text(directory / "documents.jsonl", _document_lines(stream))
    _write_the_rest(stream, directory)


def write_without_documents(stream: CollectionStream, directory: Path) -> None:
    """Writes queries.tsv, qrels.txt and provenance.json as `write_collection` does; the documents are not read."""
    _check_queries_and_qrels(stream)
    _write_the_rest(stream, directory)


def _write_the_rest(stream: CollectionStream, directory: Path) -> None:
    files.write_text(
        directory / "queries.tsv", (f"{query}\t{_one_line(text)}\n" for query, text in stream.queries.items())
    )
    write_qrels(directory / "qrels.txt", stream.qrels)
    about = {"name": stream.name, "provenance": stream.provenance, "entities": stream.entities}
    about_lines = json.dumps(about, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    files.write_text(directory / "provenance.json", [about_lines])


def write_documents(path: Path, documents: Iterable[Document]) -> Path:
    """Writes a documents.jsonl, which appears whole or not at all, and returns its path."""
    files.write_text(path, map(document_line, documents))
    return path


def read_documents(path: Path) -> Iterator[Document]:
    """Reads a documents.jsonl; a null is "", an id may be a whole number, the title and the URL may be missing.

    Raises UserError with file and line for anything malformed.
    """
    for number, line in _files.lines(path):
        yield parse_document(line, f"{path}, line {number}")


def parse_document(line: str, place: str) -> Document:
    """The document that a line of a documents.jsonl holds; raises as `read_documents` does."""
    record = _files.parse_object(line, place)
    doc_id = _files.id_field(record, "doc_id", "document", place)
    if "text" not in record:
        raise UserError(f"{place}: a document needs the field 'text'; found: {', '.join(record)}")
    return Document(doc_id, *(_files.optional_text(record, name, place) for name in ("title", "text", "url")))


def _check_queries_and_qrels(stream: CollectionStream) -> None:
    for query, text in stream.queries.items():
        _files.check_query_text(_files.check_id("query", query, stream.name), text, stream.name)
    for query, grades in stream.qrels.items():
        _files.check_id("query", query, f"the judgements of {stream.name}")
        for doc in grades:
            _files.check_id("document", doc, f"the judgements of {stream.name}")
    check_grades(stream.qrels, f"the judgements of {stream.name}")


def _document_lines(stream: CollectionStream) -> Iterator[str]:
    for document in stream.documents():
        _files.check_id("document", document.doc_id, stream.name)
        yield document_line(document)


def document_line(document: Document) -> str:
    """The document as a line of a documents.jsonl."""
    record = {"doc_id": document.doc_id, "title": document.title, "text": document.text}
    if document.url:
        record["url"] = document.url
    return json.dumps(record, ensure_ascii=False) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def read_collection(directory: str | Path) -> Collection:
    """Reads a folder with documents.jsonl[.gz], queries.tsv and qrels.txt; provenance.json may be missing.

    A folder with neither queries nor judgements is documents alone. Raises UserError with file and line for anything
    malformed. The contents are not checked: see `validate`.
    """
    return open_folder(Path(directory)).hold()


def open_folder(directory: Path) -> CollectionStream:
    """Opens a folder as `read_collection` does, without holding its documents in memory."""
    documents, *asked = map(_files.existing_file, folder_files(_files.existing_folder(directory)))
    about_path = directory / "provenance.json"
    about = _read_about(about_path) if _files.is_there(about_path) else {}
    return CollectionStream(
        name=about.get("name", directory.name),
        documents=_files.passes([documents], read_documents),
        queries=_read_queries(asked[0]) if asked else {},
        qrels=read_qrels(asked[1]) if asked else {},
        provenance=about.get("provenance", {"source": str(directory)}),
        entities={doc: tuple(names) for doc, names in about.get("entities", {}).items()},
    )


def _read_about(path: Path) -> dict:
    """Reads provenance.json; every field may be missing."""
    about = _files.read_object(path)
    for name, kind, expected in (
        ("name", str, "a string"),
        ("provenance", dict, "an object"),
        ("entities", dict, "an object of lists of strings"),
    ):
        if not isinstance(about.get(name, kind()), kind):
            raise _unexpected(path, name, expected, about[name])
    for doc, names in about.get("entities", {}).items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _unexpected(path, f"entities.{doc}", "a list of strings", names)
    return about


def _unexpected(path: Path, name: str, expected: str, found: object) -> UserError:
    return UserError(f"{path}: {name!r} must be {expected}, found {_files.shown(json.dumps(found))}")


def is_folder(directory: Path) -> bool:
    """Whether the folder is in our layout: it has one of its files."""
    documents, *asked = _all_files(directory)
    return any(map(_files.is_there, (documents, *asked)))


def folder_files(directory: Path) -> tuple[Path, ...]:
    """Returns the files of the documents (documents.jsonl, or its .gz if only that exists), queries and qrels; that of
    the documents alone where it has no other."""
    documents, *asked = _all_files(directory)
    return (documents, *asked) if any(map(_files.is_there, asked)) else (documents,)


def _all_files(directory: Path) -> tuple[Path, Path, Path]:
    documents = _files.plain_or_gzip(directory / "documents.jsonl")
    return documents, directory / "queries.tsv", directory / "qrels.txt"


def _read_queries(path: Path) -> dict[str, str]:
    """Reads `id<TAB>text` lines."""
    queries: dict[str, str] = {}
    for number, line in _files.lines(path):
        place = f"{path}, line {number}"
        query, tab, text = line.partition("\t")
        if not tab:
            raise UserError(f"{place}: expected `id<TAB>text`, found no tab in {_files.shown(line)}")
        query = _files.check_id("query", query.strip(), place)
        if query in queries:
            raise UserError(f"{place}: the query id {query!r} is used twice")
        queries[query] = _files.check_query_text(query, text.strip(), place)
    return queries
