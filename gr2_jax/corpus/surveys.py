"""The counts and anomalies of a collection, found in one pass over its documents."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Int64, UInt64

from gr2_jax.corpus import _files
from gr2_jax.corpus.collection import CollectionStream, Document

_NAMED = 3


@dataclass(frozen=True)
class Finding:
    """How often an anomaly occurs, and the ids of its first few occurrences."""

    count: int
    first: tuple[str, ...]

    @classmethod
    def among(cls, offenders: Iterable[str]) -> "Finding":
        """Counts the offenders and names the first of them."""
        offenders = list(offenders)
        return cls(len(offenders), tuple(offenders[:_NAMED]))


@dataclass(frozen=True)
class Survey:
    """Counts and anomalies of a collection; `lines` gives a report, `dataclasses.asdict` the same for JSON."""

    name: str
    documents: int
    queries: int
    judgements: int
    grades: dict[int, int]
    """Grade -> number of judgements, highest first."""
    unfit_document_ids: Finding
    """Empty, or with white space or control characters: no qrels or run file can hold them."""
    unfit_query_ids: Finding
    repeated_ids: Finding
    """Documents with the id of an earlier document."""
    empty_documents: Finding
    repeated_texts: Finding
    """Documents with the title and text of an earlier one, except empty documents."""
    empty_queries: Finding
    unjudged_queries: Finding
    queries_without_positive: Finding
    """Queries with judgements but none above 0."""
    judgements_of_unknown_queries: Finding
    positives_without_document: Finding
    """Judgements above 0 of a missing document, as `query document`."""
    others_without_document: Finding

    def lines(self) -> list[str]:
        """A report to print: the counts, then the anomalies with ids."""
        counts = {"documents": self.documents, "queries": self.queries, "judgements": self.judgements}
        counts |= {f"  of grade {grade}": count for grade, count in self.grades.items()}
        odd = {_SAID[name]: value for name, value in vars(self).items() if isinstance(value, Finding) and value.count}
        width = max(map(len, (*counts, *odd)))
        return [
            self.name,
            *(f"{label:<{width}} {count:>12,}" for label, count in counts.items()),
            *(f"{label:<{width}} {found.count:>12,}  {_names(found)}" for label, found in odd.items()),
        ]


_SAID = {
    "unfit_document_ids": "document ids unfit for a run",
    "unfit_query_ids": "query ids unfit for a run",
    "repeated_ids": "documents with a repeated id",
    "empty_documents": "documents without text",
    "repeated_texts": "documents with a repeated text",
    "empty_queries": "queries without text",
    "unjudged_queries": "queries without judgements",
    "queries_without_positive": "queries without a positive judgement",
    "judgements_of_unknown_queries": "judgements of unknown queries",
    "positives_without_document": "positive judgements of missing documents",
    "others_without_document": "other judgements of missing documents",
}


def _names(found: Finding) -> str:
    return ", ".join([*found.first, *(["..."] if found.count > len(found.first) else [])])


def survey(stream: CollectionStream) -> Survey:
    """Surveys the collection in one pass over its documents.

    Memory: 16 bytes per document while reading and 40 at the end, plus the judged ids. Repeated ids and texts are found
    by 8-byte digests: among 50 million documents, the probability of one false repeat is 1e-4. If there are repeats, a
    second pass reads up to the first few of them to name them; those of a pipe have no names.
    """
    tally = DocumentTally(stream)
    for _ in tally.watched():
        pass
    return tally.survey()


class DocumentTally:
    """Surveys documents while other code consumes them: `for document in tally.watched()`, then `tally.survey()`."""

    def __init__(self, stream: CollectionStream):
        self._stream = stream
        self._documents = 0
        self._ids, self._texts = array("Q"), array("Q")
        self._unfit, self._empty = _Offenders(), _Offenders()
        self._missing = {doc for grades in stream.qrels.values() for doc in grades}

    def watched(self) -> Iterator[Document]:
        """Yields all documents of the stream, once."""
        for document in self._stream.documents():
            self._add(document)
            yield document

    def _add(self, document: Document) -> None:
        self._documents += 1
        self._missing.discard(document.doc_id)
        self._ids.append(_digest(document.doc_id))
        if not _files.fits_a_run(document.doc_id):
            self._unfit.add(repr(document.doc_id))
        contents = document.contents
        # An empty text gets a unique number, so that it is not a repeat.
        self._texts.append(_digest(contents) if contents else self._documents)
        if not contents:
            self._empty.add(document.doc_id)

    def survey(self) -> Survey:
        """The survey of the documents seen and of all queries and judgements."""
        queries, qrels = self._stream.queries, self._stream.qrels
        grades = Counter(grade for judged in qrels.values() for grade in judged.values())
        missing = [(f"{q} {d}", g) for q, judged in qrels.items() for d, g in judged.items() if d in self._missing]
        return Survey(
            name=self._stream.name,
            documents=self._documents,
            queries=len(queries),
            judgements=sum(grades.values()),
            grades=dict(sorted(grades.items(), reverse=True)),
            unfit_document_ids=self._unfit.finding(),
            unfit_query_ids=Finding.among(repr(query) for query in queries if not _files.fits_a_run(query)),
            repeated_ids=self._named(_repeats(self._ids)),
            empty_documents=self._empty.finding(),
            repeated_texts=self._named(_repeats(self._texts)),
            empty_queries=Finding.among(query for query, text in queries.items() if not text.strip()),
            unjudged_queries=Finding.among(query for query in queries if not qrels.get(query)),
            queries_without_positive=Finding.among(
                query for query in queries if qrels.get(query) and max(qrels[query].values()) <= 0
            ),
            judgements_of_unknown_queries=Finding.among(
                f"{query} {doc}" for query, judged in qrels.items() if query not in queries for doc in judged
            ),
            positives_without_document=Finding.among(pair for pair, grade in missing if grade > 0),
            others_without_document=Finding.among(pair for pair, grade in missing if grade <= 0),
        )

    def _named(self, places: Int64[np.ndarray, " R"]) -> Finding:
        wanted = [int(place) for place in places[:_NAMED]]
        ends = zip([0, *(place + 1 for place in wanted)], wanted, strict=False)
        try:
            documents = self._stream.documents() if wanted else iter(())
        except _files.ReadTwice:  # they are counted, but their names have passed
            return Finding(len(places), ())
        # Each step continues where the previous one stopped.
        found = (next(islice(documents, place - start, None)) for start, place in ends)
        return Finding(len(places), tuple(document.doc_id for document in found))


class _Offenders:
    def __init__(self):
        self._count, self._first = 0, []

    def add(self, name: str) -> None:
        self._count += 1
        if len(self._first) < _NAMED:
            self._first.append(name)

    def finding(self) -> Finding:
        return Finding(self._count, tuple(self._first))


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def _repeats(digests: "array[int]") -> Int64[np.ndarray, " R"]:
    """Returns the positions, ascending, of the digests that also occur at an earlier position."""
    values: UInt64[np.ndarray, " N"] = np.frombuffer(digests, np.uint64)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    return np.sort(order[1:][ordered[1:] == ordered[:-1]])
