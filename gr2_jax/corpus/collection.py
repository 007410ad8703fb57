"""A test collection in the one shape that everything here uses: documents, queries and graded judgements."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from gr2_jax.corpus import _files
from gr2_jax.errors import UserError, nearest


@dataclass(frozen=True)
class Document:
    """One document. The text may hold paragraphs, separated by blank lines; the title and the URL may be "".

    The URL is a name of the document, as the title is, and no part of what an index sees.
    """

    doc_id: str
    title: str
    text: str
    url: str = ""

    @property
    def contents(self) -> str:
        """What an index sees: the title, then the text."""
        return f"{self.title}\n{self.text}".strip()


@dataclass(frozen=True)
class Collection:
    """Documents, queries (id -> text) and judgements (query id -> document id -> grade; higher is more relevant).

    A grade of 0 or below means not relevant. `provenance` says where the data came from (source, library versions,
    notes). `entities` gives, for some documents, the names of things that they mention.
    """

    name: str
    documents: tuple[Document, ...]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    provenance: dict[str, str]
    entities: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def max_grade(self) -> int:
        """The highest grade given, 0 where there is no judgement."""
        return max((grade for grades in self.qrels.values() for grade in grades.values()), default=0)


def write_collection(collection: Collection, directory: str | Path) -> None:
    """Writes documents.jsonl, queries.tsv, qrels.txt and provenance.json; equal collections give equal bytes."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    _replace(directory / "documents.jsonl", (_document_line(document) for document in collection.documents))
    _replace(directory / "queries.tsv", (f"{query}\t{_one_line(text)}\n" for query, text in collection.queries.items()))
    _replace(
        directory / "qrels.txt",
        (f"{query} 0 {doc} {grade}\n" for query, grades in collection.qrels.items() for doc, grade in grades.items()),
    )
    about = {"name": collection.name, "provenance": collection.provenance, "entities": collection.entities}
    _replace(directory / "provenance.json", [json.dumps(about, indent=1, sort_keys=True, ensure_ascii=False), "\n"])


def _document_line(document: Document) -> str:
    record = {"doc_id": document.doc_id, "title": document.title, "text": document.text}
    if document.url:
        record["url"] = document.url
    return json.dumps(record, ensure_ascii=False) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _replace(path: Path, lines: Iterable[str]) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
    os.replace(partial, path)


def read_collection(directory: str | Path) -> Collection:
    """Reads a folder with documents.jsonl[.gz], queries.tsv and qrels.txt; provenance.json may be missing.

    Raises UserError with file and line for anything malformed. The contents are as written: see `validate`.
    """
    directory = _files.existing_folder(Path(directory))
    documents_path, queries_path, qrels_path = _files.data_files(directory)
    about_path = directory / "provenance.json"
    about = _files.read_json(about_path) if about_path.is_file() else {}
    return Collection(
        name=about.get("name", directory.name),
        documents=tuple(Document(*fields) for fields in _files.read_documents(documents_path)),
        queries=_files.read_queries(queries_path),
        qrels=_files.read_qrels(qrels_path),
        provenance=about.get("provenance", {"source": str(directory)}),
        entities={doc: tuple(names) for doc, names in about.get("entities", {}).items()},
    )


Treatment = Literal["error", "drop"]


def validate(
    collection: Collection, *, empty_documents: Treatment = "error", unjudged_queries: Treatment = "error"
) -> Collection:
    """Returns the collection, less what is to be dropped, once it is fit to train and evaluate on.

    Judgements of dropped documents vanish with them, as do non-positive judgements of unknown documents.
    Raises UserError, naming the first offender, for an empty collection, an id that is empty, contains white space or
    (of a document) is repeated, a query without text, a positive judgement of an unknown document or any judgement for
    an unknown query and, unless these are dropped, a document without text or a query without a positive judgement.
    """
    if not collection.documents or not collection.queries:
        raise UserError(f"the collection {collection.name} has no {'queries' if collection.documents else 'documents'}")
    for document in collection.documents:
        _files.check_id("document", document.doc_id, collection.name)
    for query, text in collection.queries.items():
        _files.check_query_text(_files.check_id("query", query, collection.name), text, collection.name)
    _refuse_duplicates(collection)
    _refuse_strangers(collection)
    empty = [document.doc_id for document in collection.documents if not document.contents]
    _refuse_unless_dropped(
        empty, empty_documents, f"document {{}} of {collection.name} has no text", "--corpus.empty_documents"
    )
    documents = tuple(document for document in collection.documents if document.contents)
    known = {document.doc_id for document in documents}
    qrels = {
        query: {doc: grade for doc, grade in collection.qrels.get(query, {}).items() if doc in known}
        for query in collection.queries
    }
    unjudged = [query for query, grades in qrels.items() if max(grades.values(), default=0) <= 0]
    _refuse_unless_dropped(
        unjudged,
        unjudged_queries,
        f"query {{}} of {collection.name} has no positive judgement",
        "--corpus.unjudged_queries",
    )
    queries = {query: text for query, text in collection.queries.items() if query not in set(unjudged)}
    if not documents or not queries:
        raise UserError(f"the collection {collection.name} has no {'documents' if not documents else 'queries'}")
    entities = {doc: names for doc, names in collection.entities.items() if doc in known}
    return replace(
        collection,
        documents=documents,
        queries=queries,
        qrels={query: qrels[query] for query in queries},
        entities=entities,
    )


def _refuse_unless_dropped(offenders: list[str], treatment: str, complaint: str, option: str) -> None:
    if treatment not in ("error", "drop"):
        raise UserError(f"{option} is {treatment!r}: {nearest(treatment, ('error', 'drop'))}")
    if offenders and treatment == "error":
        raise UserError(
            f"{complaint.format(repr(offenders[0]))}{_and_others(offenders)}; `{option} drop` leaves them out"
        )


def _and_others(offenders: list[str]) -> str:
    return f" (and {len(offenders) - 1} more)" if len(offenders) > 1 else ""


def _refuse_duplicates(collection: Collection) -> None:
    seen: set[str] = set()
    repeated = [doc.doc_id for doc in collection.documents if doc.doc_id in seen or seen.add(doc.doc_id)]
    if repeated:
        raise UserError(
            f"two documents of {collection.name} have the id {repeated[0]!r}{_and_others(repeated)}: ids must be unique"
        )


def _refuse_strangers(collection: Collection) -> None:
    known = {document.doc_id for document in collection.documents}
    strangers = [f"{doc!r} (query {query!r})" for query, doc in _positive(collection.qrels) if doc not in known]
    if strangers:
        raise UserError(
            f"the judgements of {collection.name} name an unknown document {strangers[0]}{_and_others(strangers)}"
        )
    queries = [query for query in collection.qrels if query not in collection.queries]
    if queries:
        raise UserError(
            f"the judgements of {collection.name} name an unknown query {queries[0]!r}{_and_others(queries)}"
        )


def _positive(qrels: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, str]]:
    return ((query, doc) for query, grades in qrels.items() for doc, grade in grades.items() if grade > 0)
