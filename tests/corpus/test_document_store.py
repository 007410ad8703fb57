"""A run's documents on its disk: the same as in memory, whichever way they are asked for."""

import numpy as np
import pytest

from gr2_jax.corpus import (
    Collection,
    Document,
    DocumentsById,
    DocumentStore,
    read_collection,
    read_stored,
    write_collection,
    write_store,
    write_without_documents,
)
from gr2_jax.errors import UserError

DOCUMENTS = (
    Document("d1", "A title", "one\n\ntwo\u2028three", "http://a.org"),
    Document("é/2", "", "ünïcode 猫"),
    Document("d3", "t", ""),
)


@pytest.fixture
def stored(tmp_path):
    assert write_store(tmp_path, iter(DOCUMENTS)) == 3
    return DocumentStore(tmp_path)


def test_it_is_the_sequence_that_was_written(stored):
    assert tuple(stored) == DOCUMENTS
    assert len(stored) == 3
    assert [stored[i] for i in (2, 0, -1, 1)] == [DOCUMENTS[i] for i in (2, 0, -1, 1)]
    assert stored[np.int64(1)] == DOCUMENTS[1]
    assert stored[1:] == list(DOCUMENTS[1:])
    assert stored.doc_ids == ["d1", "é/2", "d3"]
    assert DOCUMENTS[1] in stored
    with pytest.raises(IndexError):
        stored[3]


def test_by_ids(stored):
    by_id = DocumentsById(stored, {doc_id: row for row, doc_id in enumerate(stored.doc_ids)})
    assert dict(by_id) == {document.doc_id: document for document in DOCUMENTS}
    assert by_id.get("d4") is None
    assert "d3" in by_id


def test_the_folder_is_in_our_layout(tmp_path):
    collection = Collection("small", DOCUMENTS, {"q": "one"}, {"q": {"d1": 1}}, {"source": "s"}, {"d1": ("A",)})
    write_store(tmp_path / "stored", DOCUMENTS)
    write_without_documents(collection.stream(), tmp_path / "stored")
    write_collection(collection, tmp_path / "plain")
    for path in (tmp_path / "plain").iterdir():
        assert path.read_bytes() == (tmp_path / "stored" / path.name).read_bytes()
    read = read_stored(tmp_path / "stored")
    assert isinstance(read.documents, DocumentStore)
    assert read.stream().hold() == read_collection(tmp_path / "stored") == read_stored(tmp_path / "plain") == collection


def test_nothing_is_held_while_it_is_written(tmp_path):
    def documents():
        for i in range(3):
            yield Document(f"d{i}", "", "text")
            assert not (tmp_path / "documents.jsonl").exists()  # whole or not at all

    write_store(tmp_path, documents())
    with pytest.raises(ZeroDivisionError):
        write_store(tmp_path / "broken", (Document(f"d{1 // i}", "", "") for i in (1, 0)))
    assert list((tmp_path / "broken").iterdir()) == []


def test_no_documents(tmp_path):
    write_store(tmp_path, [])
    assert tuple(DocumentStore(tmp_path)) == ()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("documents.jsonl", b'{"doc_id": "d1", "text": ""}\n'),
        ("doc_ids.txt", b"d1\nd2\n"),
        ("documents.npy", b"no array"),
    ],
)
def test_files_of_another_collection_are_refused(stored, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        DocumentStore(tmp_path)


def test_places_that_are_no_lines_are_refused(stored, tmp_path):
    places = np.load(tmp_path / "documents.npy")
    places[1] += 3
    np.save(tmp_path / "documents.npy", places)
    with pytest.raises(UserError, match=r"documents\.jsonl, document 1"):
        DocumentStore(tmp_path)[0]
