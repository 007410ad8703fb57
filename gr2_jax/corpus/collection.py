"""The one shape of a test collection that all modules use: documents, queries and graded judgements."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gr2_jax.corpus.qrels import Qrels


@dataclass(frozen=True)
class Document:
    """One document. The text may hold paragraphs, separated by blank lines; the title and the URL may be "".

    The URL can name the document, as the title can, but is not indexed.
    """

    doc_id: str
    title: str
    text: str
    url: str = ""

    @property
    def contents(self) -> str:
        """The text that is indexed: the title, then the text."""
        return f"{self.title}\n{self.text}".strip()


@dataclass(frozen=True)
class Collection:
    """Documents, queries (id -> text) and judgements (query id -> document id -> grade; higher is more relevant).

    A grade of 0 or below means not relevant. `provenance` says where the data came from (source, library versions,
    notes). `entities` maps some document ids to names that the document mentions. In a run the documents stay on the
    disk (`gr2_jax.corpus.document_store`).
    """

    name: str
    documents: Sequence[Document]
    queries: dict[str, str]
    qrels: Qrels
    provenance: dict[str, str]
    entities: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def max_grade(self) -> int:
        """The highest grade of any judgement; 0 without judgements."""
        return max((grade for grades in self.qrels.values() for grade in grades.values()), default=0)

    def stream(self) -> "CollectionStream":
        """The collection as a stream over its documents in memory."""
        documents = self.documents
        return CollectionStream(
            self.name, lambda: iter(documents), self.queries, self.qrels, self.provenance, self.entities
        )


@dataclass(frozen=True)
class CollectionStream:
    """A collection whose documents are read in passes and never held in memory: there may be 50 million of them.

    Every call of `documents` starts a new pass over the same documents in the same order. The other fields are as in
    `Collection`. Only the syntax of the files has been checked.
    """

    name: str
    documents: Callable[[], Iterator[Document]]
    queries: dict[str, str]
    qrels: Qrels
    provenance: dict[str, str]
    entities: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def hold(self) -> Collection:
        """The collection with all its documents in memory, in the order of the stream."""
        return Collection(self.name, tuple(self.documents()), self.queries, self.qrels, self.provenance, self.entities)
