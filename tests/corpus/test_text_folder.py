"""A folder of text files: what becomes a document, its id and its title."""

import os

import pytest

from gr2_jax.corpus import Document, open_collection, source_fingerprint
from gr2_jax.errors import UserError


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "my notes"
    for name, content in {
        "b.md": b"# A Heading #\n\nText of b.\n",
        "a file.txt": b"\xef\xbb\xbfText of a.\r\nMore.",
        "deep/er/2024-01-03-meeting_notes.txt": "\u65e5\u672c\u8a9e\u306e\u6587\u3002".encode(),
        "front.md": b'---\ndate: x\ntitle: "Front matter"\n---\n# Heading\nText.',
        "rest.rst": b"Rest Title\n==========\n\nBody.",
        "page.html": b"<html><title>A page</title><body><p>one</p><p>two</p></body>",
        "picture.png": b"\x89PNG\0\0",
        "latin.txt": "caf\u00e9".encode("latin-1"),
        "empty.txt": b" \n",
        ".hidden/x.txt": b"hidden",
        ".x": b"hidden",
        "__pycache__/x.txt": b"cached",
        "runs/old/corpus/stage.json": b"{}",
        "runs/old/corpus/documents.jsonl": b"a copy",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "broken").symlink_to("nowhere")
    (folder / "linked").symlink_to("deep")
    (folder / os.fsdecode(b"caf\xe9.bin")).write_bytes(b"\0")
    return folder


def test_each_text_file_is_a_document(folder):
    stream = open_collection(str(folder))
    assert stream.name == "my notes"
    assert list(stream.documents()) == [
        Document("a%20file.txt", "a file", "Text of a.\nMore."),
        Document("b.md", "A Heading", "Text of b."),
        Document("front.md", "Front matter", "Text."),
        Document("page.html", "A page", "one\n\ntwo"),
        Document("rest.rst", "Rest Title", "Body."),
        Document("deep/er/2024-01-03-meeting_notes.txt", "meeting notes er", "\u65e5\u672c\u8a9e\u306e\u6587\u3002"),
    ]
    left_out = {name: value for name, value in stream.provenance.items() if name.startswith("left out")}
    assert left_out == {
        "left out, a link to a folder": "1 (linked)",
        "left out, binary or UTF-16": "2 (caf?.bin, picture.png)",
        "left out, empty": "1 (empty.txt)",
        "left out, not UTF-8": "1 (latin.txt)",
    }


def test_a_changed_or_renamed_file_changes_the_fingerprint(folder):
    before = source_fingerprint(str(folder))
    (folder / "picture.png").write_bytes(b"\0 another")
    assert source_fingerprint(str(folder)) == before
    (folder / "b.md").write_text("# Another")
    changed = source_fingerprint(str(folder))
    assert changed != before
    (folder / "b.md").rename(folder / "c.md")
    assert source_fingerprint(str(folder)) not in (before, changed)


def test_names_that_no_run_file_can_hold_stay_apart(tmp_path):
    for name in (b"a b.txt", b"a%20b.txt", b"caf\xe9.txt", b"caf\xe8.txt", "\u65e5.txt".encode()):
        (tmp_path / os.fsdecode(name)).write_text("text")
    ids = sorted(document.doc_id for document in open_collection(str(tmp_path)).documents())
    assert ids == ["a%20b.txt", "a%2520b.txt", "caf%E8.txt", "caf%E9.txt", "\u65e5.txt"]


def test_a_folder_of_records_is_all_of_them(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 1, "text": "x"}\n{"id": 2, "text": "y"}\n')
    (tmp_path / "b.csv").write_text("id,text\n3,z\n")
    assert [document.doc_id for document in open_collection(str(tmp_path)).documents()] == ["1", "2", "3"]


@pytest.mark.parametrize("start", ["# a" + " " * 100_000 + "b", "\n" * 100_000 + "x", "#" * 100_000])
def test_a_strange_beginning_takes_no_time(tmp_path, start):
    """Of a heading that a regular expression would look for again and again."""
    (tmp_path / "a.md").write_text(f"{start}\n\nText.")
    (document,) = open_collection(str(tmp_path)).documents()
    assert document.text.endswith("Text.")


def test_a_folder_without_text_is_refused(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"\0")
    with pytest.raises(UserError, match="holds no text file"):
        open_collection(str(tmp_path))


def test_a_folder_in_our_layout_or_beirs_may_hold_documents_alone(tmp_path):
    ours, beir = tmp_path / "ours", tmp_path / "beir"
    ours.mkdir()
    (ours / "documents.jsonl").write_text('{"doc_id": "a", "text": "x"}\n')
    beir.mkdir()
    (beir / "corpus.jsonl").write_text('{"_id": "a", "title": "", "text": "x"}\n')
    for folder in (ours, beir):
        stream = open_collection(str(folder))
        assert list(stream.documents()) == [Document("a", "", "x")]
        assert (stream.queries, stream.qrels) == ({}, {})
        assert source_fingerprint(str(folder)).startswith("sha256:")
    (ours / "queries.tsv").write_text("q\ttext\n")
    (beir / "queries.jsonl").write_text('{"_id": "q", "text": "x"}\n')
    with pytest.raises(UserError, match=r"no qrels\.txt"):
        open_collection(str(ours))
    with pytest.raises(UserError, match="no judgements"):
        open_collection(str(beir))
