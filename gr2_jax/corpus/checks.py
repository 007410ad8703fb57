"""Checks that a collection is fit for training and evaluation."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal

from gr2_jax.corpus import _files
from gr2_jax.corpus.collection import Collection
from gr2_jax.corpus.qrels import check_grades
from gr2_jax.errors import UserError, nearest

Treatment = Literal["error", "drop"]


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
    if not collection.documents or (needs_queries and not collection.queries):
        raise UserError(f"the collection {collection.name} has no {'queries' if collection.documents else 'documents'}")
    for document in collection.documents:
        _files.check_id("document", document.doc_id, collection.name)
    for query, text in collection.queries.items():
        _files.check_query_text(_files.check_id("query", query, collection.name), text, collection.name)
    check_grades(collection.qrels, f"the judgements of {collection.name}")
    _refuse_duplicates(collection)
    _check_treatment(unknown, "--corpus.unknown")
    if unknown == "error":
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
    if not documents or (needs_queries and not queries):
        missing = "queries with judgements" if documents else "documents with text"
        raise UserError(f"the collection {collection.name} has no {missing}")
    entities = {doc: names for doc, names in collection.entities.items() if doc in known}
    return replace(
        collection,
        documents=documents,
        queries=queries,
        qrels={query: qrels[query] for query in queries},
        entities=entities,
    )


def _refuse_unless_dropped(offenders: list[str], treatment: str, complaint: str, option: str) -> None:
    _check_treatment(treatment, option)
    if offenders and treatment == "error":
        raise UserError(
            f"{complaint.format(repr(offenders[0]))}{_and_others(offenders)}; `{option} drop` leaves them out"
        )


def _check_treatment(treatment: str, option: str) -> None:
    if treatment not in ("error", "drop"):
        raise UserError(f"{option} is {treatment!r}: {nearest(treatment, ('error', 'drop'))}")


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
            f"the judgements of {collection.name} name an unknown document {strangers[0]}{_and_others(strangers)}; "
            "`--corpus.unknown drop` leaves such judgements out"
        )
    queries = [query for query in collection.qrels if query not in collection.queries]
    if queries:
        raise UserError(
            f"the judgements of {collection.name} name an unknown query {queries[0]!r}{_and_others(queries)}; "
            "`--corpus.unknown drop` leaves such judgements out"
        )


def _positive(qrels: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, str]]:
    return ((query, doc) for query, grades in qrels.items() for doc, grade in grades.items() if grade > 0)
