"""A test collection in the one shape that everything here uses: documents, queries and graded judgements."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gr2_jax.corpus.qrels import Qrels


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
    qrels: Qrels
    provenance: dict[str, str]
    entities: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def max_grade(self) -> int:
        """The highest grade given, 0 where there is no judgement."""
        return max((grade for grades in self.qrels.values() for grade in grades.values()), default=0)

    def stream(self) -> "CollectionStream":
        """The collection as a stream of the documents that it holds."""
        documents = self.documents
        return CollectionStream(
            self.name, lambda: iter(documents), self.queries, self.qrels, self.provenance, self.entities
        )


@dataclass(frozen=True)
class CollectionStream:
    """A collection whose documents pass by, again and again, and are never held: there may be 50 million of them.

    Every call of `documents` starts anew and gives the same documents in the same order. The other fields are those of
    `Collection`; nothing has been validated but the syntax of the files.
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
