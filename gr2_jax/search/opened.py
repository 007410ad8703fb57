"""A searcher that was opened from a folder, with the documents that it finds: what users of a run or a bundle hold."""

import dataclasses
import difflib
import fnmatch
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, overload

from gr2_jax.corpus import Document
from gr2_jax.errors import SettingError, UserError
from gr2_jax.search.searcher import Hit, Searcher, SearchOptions

_COMPARED = 20_000  # ids that are looked through for one like a mistyped one


@dataclasses.dataclass(frozen=True)
class FoundDocument(Hit):
    """A hit with its place in the list, from 1, and its document's title and text."""

    rank: int = 0
    title: str = ""
    text: str = ""

    def __repr__(self) -> str:
        title = f", title={self.title!r}" if self.title else ""
        return f"FoundDocument(rank={self.rank}, doc_id={self.doc_id!r}{title}, score={self.score:.3f})"


@dataclasses.dataclass(frozen=True, eq=False)
class OpenRetriever:
    """A row, ready to search: `for hit in retriever.search("a query"): print(hit.doc_id, hit.title)`.

    row          its name in the table of the run
    documents    document id -> document, of those that are searched; in a bundle without documents they have no title
                 and no text
    place        the folder that was opened
    """

    searcher: Searcher
    row: str
    documents: Mapping[str, Document]
    place: Path

    def __repr__(self) -> str:
        return f"<{self.row} over {len(self.documents):,} documents, {self.place}>"

    @overload
    def search(self, queries: str, k: int = 20) -> list[FoundDocument]: ...

    @overload
    def search(self, queries: Sequence[str], k: int = 20) -> list[list[FoundDocument]]: ...

    def search(self, queries, k=20):
        """The best `k` documents of a query, best first, or such a list for each of several queries."""
        if isinstance(queries, str):
            return self.search([queries], k)[0]
        return [self.found(hits) for hits in self.searcher.search(list(queries), k)]

    def found(self, hits: Sequence[Hit]) -> list[FoundDocument]:
        """The searcher's hits, best first, with their documents."""
        documents = (self.document(hit.doc_id) for hit in hits)
        return [
            FoundDocument(**vars(hit), rank=rank, title=document.title, text=document.text)
            for rank, (hit, document) in enumerate(zip(hits, documents, strict=True), start=1)
        ]

    def document(self, doc_id: str) -> Document:
        """The document of this id; `UserError` where there is none."""
        if doc_id not in self.documents:
            raise UserError(f"there is no document {doc_id!r} among these {len(self.documents):,}")
        return self.documents[doc_id]

    def only(self, ids: str | Collection[str] = "*", *, without: str | Collection[str] = ()) -> Self:
        """The same row over some of its documents: `retriever.only("corpus/*").search("a query")`. What is proven is
        proven among them.

        Args:
            ids: Document ids, or patterns of them with *, ? and [...] as a shell has them; one, or several.
            without: The same, of documents that are left out.

        Raises:
            UserError: Nothing is left, or one of the ids or patterns is of no document.
        """
        chosen = set(self._matching(ids)) - set(self._matching(without))
        if not chosen:
            raise UserError(f"all {len(self.documents):,} documents are left out")
        documents = {doc_id: self.documents[doc_id] for doc_id in self.documents if doc_id in chosen}
        return dataclasses.replace(self, searcher=self.searcher.only(chosen), documents=documents)

    def _matching(self, asked: str | Collection[str]) -> Iterator[str]:
        for name in [asked] if isinstance(asked, str) else asked:
            if name in self.documents:
                yield name
                continue
            found = fnmatch.filter(self.documents, name)
            if not found:
                close = difflib.get_close_matches(name, itertools.islice(self.documents, _COMPARED), 1, 0.5)
                hint = f": did you mean '{close[0]}'?" if close else ""
                raise UserError(f"no document's id is or matches '{name}'{hint}")
            yield from found

    def with_options(self, **changes: Any) -> Self:
        """The same row with other search options, such as `exact="adaptive"`; see
        `gr2_jax.search.searcher.SearchOptions`."""
        return dataclasses.replace(self, searcher=self.searcher.with_options(**changes))


def check_changes(options: SearchOptions, changes: Mapping[str, Any]) -> None:
    """Raises `UserError`, which spells an option as the command line does, for changes that the options refuse: to ask
    before anything is loaded."""
    try:
        options.changed(**changes)
    except SettingError as error:
        raise UserError(f"--{error.field.replace('_', '-')} {error.fault}") from error
