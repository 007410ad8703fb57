"""The documents of a run on its disk: read one by one when they are asked for, so that no number of them fills memory.

documents.jsonl and, beside it, doc_ids.txt, an id a line, and documents.npy, where each document's line begins. A store
takes 80 bytes of memory a document for the ids and, once a document is asked for by its id, 100 more.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from gr2_jax.array_files import growing_array, map_array
from gr2_jax.corpus.collection import Collection, Document
from gr2_jax.corpus.folder import document_line, open_folder, parse_document, read_documents
from gr2_jax.errors import UserError
from gr2_jax.files import read_text, reading, replacing

_AT_ONCE = 65536
DOCUMENTS, IDS, PLACES = "documents.jsonl", "doc_ids.txt", "documents.npy"


def read_stored(directory: Path) -> Collection:
    """Reads a folder in our layout as `read_collection` does, with a store of its documents where it has one."""
    stream = open_folder(directory)
    documents = DocumentStore(directory) if (directory / PLACES).is_file() else tuple(stream.documents())
    return Collection(stream.name, documents, stream.queries, stream.qrels, stream.provenance, stream.entities)


def write_store(directory: Path, documents: Iterable[Document]) -> int:
    """Writes the three files, each whole or not at all, and returns the number of documents. None is kept in memory."""
    count = place = 0
    ends = [0]  # where lines end, not yet written
    with (
        replacing(directory / DOCUMENTS) as texts,
        replacing(directory / IDS) as ids,
        growing_array(directory / PLACES, np.int64) as places,
        texts.open("wb") as text_file,
        ids.open("w", encoding="utf-8", newline="\n") as id_file,
    ):
        for document in documents:
            line = document_line(document).encode()
            text_file.write(line)
            id_file.write(f"{document.doc_id}\n")
            count, place = count + 1, place + len(line)
            ends.append(place)
            if len(ends) >= _AT_ONCE:
                places.append(np.array(ends))
                ends = []
        places.append(np.array(ends))
    return count


def read_rows(directory: Path, rows: Iterable[int]) -> Iterator[Document]:
    """Reads some of the documents that `write_store` wrote, for a process that opens no store of all ids. Raises as
    `read_documents` does."""
    path, places = directory / DOCUMENTS, map_array(directory / PLACES, ndim=1)
    with path.open("rb") as file:
        for row in rows:
            with reading(path):
                file.seek(places[row])
                line = file.read(places[row + 1] - places[row]).decode()
            yield parse_document(line, f"{path}, line {row + 1}")


class DocumentStore(Sequence[Document]):
    """The documents in the order in which they were written; `store[row]` reads one, and a loop reads them in a pass.

    Raises UserError for files that do not belong together or are damaged, some of it when a document is read.
    """

    def __init__(self, directory: Path):
        self._path = directory / DOCUMENTS
        self._places = map_array(directory / PLACES, ndim=1)
        with reading(self._path):
            self._bytes = np.memmap(self._path, np.uint8, mode="r") if self._path.stat().st_size else np.zeros(0, "u1")
        ids = read_text(directory / IDS)
        self.doc_ids: list[str] = ids.split("\n")[:-1]
        if len(self._places) != len(self.doc_ids) + 1 or self._places[-1] != len(self._bytes):
            raise UserError(f"{directory / PLACES} is damaged: it is not of {self._path.name} and {IDS} beside it")

    def __len__(self) -> int:
        return len(self._places) - 1

    @overload
    def __getitem__(self, row: int) -> Document: ...
    @overload
    def __getitem__(self, row: slice) -> list[Document]: ...
    def __getitem__(self, row):
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        place = range(len(self))[row]  # of a negative row, too
        line = self._bytes[self._places[place] : self._places[place + 1]].tobytes()
        with reading(self._path):
            return parse_document(line.decode(), f"{self._path}, document {place + 1}")

    def __iter__(self) -> Iterator[Document]:
        return read_documents(self._path)


class DocumentsById(Mapping[str, Document]):
    """Documents by their ids, in the order of the rows, over any sequence of them."""

    def __init__(self, documents: Sequence[Document], row_of: Mapping[str, int]):
        self._documents, self._row_of = documents, row_of

    def __len__(self) -> int:
        return len(self._row_of)

    def __iter__(self) -> Iterator[str]:
        return iter(self._row_of)

    def __contains__(self, doc_id: object) -> bool:
        return doc_id in self._row_of

    def __getitem__(self, doc_id: str) -> Document:
        return self._documents[self._row_of[doc_id]]
