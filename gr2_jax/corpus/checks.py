"""Checks that a collection is fit for training and evaluation."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal

from gr2_jax.corpus import _files
from gr2_jax.corpus.collection import Collection, CollectionStream, Document
from gr2_jax.corpus.qrels import check_grades
from gr2_jax.errors import UserError, nearest

Treatment = Literal["error", "drop"]
EMPTY, UNJUDGED, UNKNOWN = "--corpus.empty_documents", "--corpus.unjudged_queries", "--corpus.unknown"


def validate(
    collection: Collection,
    *,
    empty_documents: Treatment = "error",
    unjudged_queries: Treatment = "error",
    unknown: Treatment = "error",
    needs_queries: bool = True,
) -> Collection:
    """Checks that the collection is fit for training and evaluation and returns it without what is to be dropped.

    Judgements of dropped documents are dropped too, as are non-positive judgements of unknown documents and, where
    `unknown` is dropped, all judgements of unknown documents and queries. Without `needs_queries` it may have none.

    Raises UserError, which names the first offender, for an empty collection; an id that is empty or contains white
    space; a repeated document id; a query without text; a grade outside the bound of `gr2_jax.corpus.qrels`;
    and, unless these are dropped, a positive judgement of an unknown document, a judgement for an unknown query, a
    document without text or a query without a positive judgement.
    """
    checks = Checks(
        collection.stream(),
        empty_documents=empty_documents,
        unjudged_queries=unjudged_queries,
        unknown=unknown,
        needs_queries=needs_queries,
    )
    documents = tuple(checks.documents())
    rest = checks.rest()
    return replace(collection, documents=documents, queries=rest.queries, qrels=rest.qrels, entities=rest.entities)


class Checks:
    """`validate` for a stream of documents, of which only the ids are kept.

    Take `documents()` to its end, then `rest()`. Raises as `validate` does, for queries and grades at once.
    """

    def __init__(
        self,
        stream: CollectionStream,
        *,
        empty_documents: Treatment,
        unjudged_queries: Treatment,
        unknown: Treatment,
        needs_queries: bool,
    ):
        for treatment, option in ((unknown, UNKNOWN), (empty_documents, EMPTY), (unjudged_queries, UNJUDGED)):
            if treatment not in ("error", "drop"):
                raise UserError(f"{option} is {treatment!r}: {nearest(treatment, ('error', 'drop'))}")
        if needs_queries and not stream.queries:
            missing = "queries" if next(stream.documents(), None) else "documents"
            raise UserError(f"the collection {stream.name} has no {missing}")
        for query, text in stream.queries.items():
            _files.check_query_text(_files.check_id("query", query, stream.name), text, stream.name)
        check_grades(stream.qrels, f"the judgements of {stream.name}")
        self._stream, self._needs_queries = stream, needs_queries
        self._empty_documents, self._unjudged_queries, self._unknown = empty_documents, unjudged_queries, unknown
        self._seen: set[str] = set()
        self._repeated, self._empty = _Offenders(), _Offenders()
        self._without_text: set[str] = set()  # judged ones, which are known and not kept

    def documents(self) -> Iterator[Document]:
        """The documents of the stream, without those to be dropped; of repeated ids the first."""
        judged = {doc for grades in self._stream.qrels.values() for doc in grades}
        for document in self._stream.documents():
            doc_id = _files.check_id("document", document.doc_id, self._stream.name)
            if doc_id in self._seen:
                self._repeated.add(doc_id)
                continue
            self._seen.add(doc_id)
            if document.contents:
                yield document
                continue
            self._empty.add(doc_id)
            if doc_id in judged or doc_id in self._stream.entities:
                self._without_text.add(doc_id)

    def rest(self) -> CollectionStream:
        """The collection with the queries, judgements and entities that remain."""
        stream, name = self._stream, self._stream.name
        if not self._seen:
            raise UserError(f"the collection {name} has no documents")
        if self._repeated.first is not None:
            raise UserError(
                f"two documents of {name} have the id {self._repeated.first!r}{self._repeated.others}: ids must be "
                "unique"
            )
        if self._unknown == "error":
            self._refuse_strangers()
        _refuse_unless_dropped(self._empty, self._empty_documents, f"document {{}} of {name} has no text", EMPTY)
        if self._empty.count == len(self._seen):
            raise UserError(f"the collection {name} has no documents with text")
        qrels = {
            query: {doc: grade for doc, grade in stream.qrels.get(query, {}).items() if self._is_kept(doc)}
            for query in stream.queries
        }
        unjudged = _Offenders()
        for query, grades in qrels.items():
            if max(grades.values(), default=0) <= 0:
                unjudged.add(query)
        complaint = f"query {{}} of {name} has no positive judgement"
        _refuse_unless_dropped(unjudged, self._unjudged_queries, complaint, UNJUDGED)
        queries = {query: text for query, text in stream.queries.items() if max(qrels[query].values(), default=0) > 0}
        if self._needs_queries and not queries:
            raise UserError(f"the collection {name} has no queries with judgements")
        entities = {doc: names for doc, names in stream.entities.items() if self._is_kept(doc)}
        return replace(stream, queries=queries, qrels={query: qrels[query] for query in queries}, entities=entities)

    def _is_kept(self, doc_id: str) -> bool:
        return doc_id in self._seen and doc_id not in self._without_text

    def _refuse_strangers(self) -> None:
        stream, documents, queries = self._stream, _Offenders(), _Offenders()
        for query, doc in _positive(stream.qrels):
            if doc not in self._seen:
                documents.add(f"{doc!r} (query {query!r})")
        for query in stream.qrels:
            if query not in stream.queries:
                queries.add(repr(query))
        for offenders, kind in ((documents, "document"), (queries, "query")):
            if offenders.first is not None:
                raise UserError(
                    f"the judgements of {stream.name} name an unknown {kind} {offenders.first}{offenders.others}; "
                    f"`{UNKNOWN} drop` leaves such judgements out"
                )


class _Offenders:
    """The first of those that a check found, and how many there are."""

    def __init__(self) -> None:
        self.first: str | None = None
        self.count = 0

    def add(self, offender: str) -> None:
        self.first = offender if self.first is None else self.first
        self.count += 1

    @property
    def others(self) -> str:
        return f" (and {self.count - 1} more)" if self.count > 1 else ""


def _refuse_unless_dropped(offenders: _Offenders, treatment: Treatment, complaint: str, option: str) -> None:
    if offenders.first is not None and treatment == "error":
        raise UserError(f"{complaint.format(repr(offenders.first))}{offenders.others}; `{option} drop` leaves them out")


def _positive(qrels: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, str]]:
    return ((query, doc) for query, grades in qrels.items() for doc, grade in grades.items() if grade > 0)
