"""Files of documents: JSON lines, JSON lists, tables and lines of text, with the usual names of fields."""

import gzip
import itertools
import json

import pytest

from gr2_jax.corpus import Document, document_of, open_collection, source_fingerprint
from gr2_jax.errors import UserError


def documents(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    stream = open_collection(str(path))
    assert (stream.queries, stream.qrels) == ({}, {})
    return list(stream.documents())


@pytest.mark.parametrize(
    ("line", "document"),
    [
        ('{"doc_id": "a", "title": "T", "text": "x", "url": "u"}', Document("a", "T", "x", "u")),
        ('{"_id": "a", "title": "T", "text": "x"}', Document("a", "T", "x")),
        ('{"id": 7, "contents": "x"}', Document("7", "", "x")),
        ('{"ID": "a", "Body": "x", "Headline": "T", "more": {"deep": 1}}', Document("a", "T", "x")),
        ('{"text": ["one", "two"]}', Document("1", "", "one\n\ntwo")),
        ('{"title": "alone"}', Document("1", "alone", "")),
        ('{"text": null, "title": "T"}', Document("1", "T", "")),
        ('"just text"', Document("1", "", "just text")),
        ('{"text": "half \\ud800"}', Document("1", "", "half ?")),
    ],
)
def test_fields_have_any_of_their_usual_names(tmp_path, line, document):
    assert documents(tmp_path / "d.jsonl", line) == [document]
    assert documents(tmp_path / "d.json", f"[{line}]") == [document]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.jsonl", '{"text": "x"}\n{"words": "y"}', "d.jsonl, line 2: a document needs one of the fields text"),
        ("d.jsonl", '{"text": {"a": 1}}', "line 1: the field 'text' must be a string"),
        ("d.jsonl", '{"text": true}', "must be a string"),
        ("d.jsonl", "[1]", "expected an object or a string"),
        ("d.jsonl", '{"id": "two words", "text": "x"}', "white space"),
        ("d.jsonl", "{", "line 1 is not JSON"),
        ("d.json", '{"text": "x"}', "expected a JSON list"),
        ("d.json", b"\xff", "not UTF-8"),
        ("d.csv", "id,text\n1,a,b,c\n", "line 2: 4 fields, and 2 in the first row"),
        ("d.csv", 'id,text\n1,"a', "line 2: unexpected end of data"),
        ("d.csv", "\n\nsep=;\nid;text\n1;a;b\n", "line 5: 3 fields, and 2 in the first row"),
        ("d.csv", b"text\n\xff\n", "not UTF-8 text.*save it as UTF-8"),
        ("d.csv", "id,review\n1,good\n", "line 1: a document needs one of the fields text.*found: id, review"),
        ("d.csv", "review,label\nA fine film,1\n", "'A fine film' is no id: without a header.*columns are id, text"),
        ("d.txt", b"a\n\xff\n", "line 2: not UTF-8"),
    ],
)
def test_what_is_malformed_is_named_with_its_place(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message):
        documents(tmp_path / name, content)


def test_a_table_with_a_header_quotes_and_line_breaks(tmp_path):
    table = 'Title,ID,Text,Price\r\n"One, two",a,"first line\r\nsecond ""line""",3\r\n\r\n,b,x,\r\n'
    assert documents(tmp_path / "d.csv", "\ufeff" + table) == [
        Document("a", "One, two", 'first line\r\nsecond "line"'),
        Document("b", "", "x"),
    ]
    for before in ("", "\n", "sep=;\r\n"):
        assert documents(tmp_path / "d.csv", f"{before}id;text\n1;a, b\n") == [Document("1", "", "a, b")]
    assert documents(tmp_path / "A.CSV.GZ", gzip.compress(b"id,text\n1,a\n")) == [Document("1", "", "a")]


def test_a_table_without_a_header_is_read_by_position(tmp_path):
    assert documents(tmp_path / "d.tsv", 'p1\tsays "hi\np2\tthere\n') == [
        Document("p1", "", 'says "hi'),  # a tab separated table has no quotes
        Document("p2", "", "there"),
    ]
    assert documents(tmp_path / "d.tsv", "1\ta title\tfirst\tsecond\n") == [Document("1", "a title", "first second")]
    assert documents(tmp_path / "d.csv", "only one column\nof text\n") == [
        Document("1", "", "only one column"),
        Document("2", "", "of text"),
    ]


def test_a_field_may_be_longer_than_the_csv_module_takes_by_default(tmp_path):
    (document,) = documents(tmp_path / "d.csv", f"id,text\n1,{'long ' * 100_000}\n")
    assert len(document.text) == 499_999


def test_a_line_of_a_text_is_a_document_and_the_file_may_be_packed(tmp_path):
    found = [Document("1", "", "first"), Document("3", "", "third")]
    assert documents(tmp_path / "d.txt", "first\n\n third \n") == found
    assert documents(tmp_path / "d.txt.gz", gzip.compress(b"first\n\n third \n")) == found


def test_a_million_lines_are_read_one_by_one(tmp_path):
    path = tmp_path / "d.txt"
    path.write_text("".join(f"line {i}\n" for i in range(1_000_000)))
    stream = open_collection(str(path))
    first = list(itertools.islice(stream.documents(), 3))
    assert first == [Document(str(i + 1), "", f"line {i}") for i in range(3)]
    assert sum(1 for _ in stream.documents()) == 1_000_000


def test_the_fingerprint_is_that_of_the_bytes(tmp_path):
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    for path in (one, other):
        path.write_text(json.dumps({"text": "x"}))
    assert source_fingerprint(str(one)) == source_fingerprint(str(other))
    other.write_text(json.dumps({"text": "y"}))
    assert source_fingerprint(str(one)) != source_fingerprint(str(other))


def test_other_files_are_refused_with_the_nearest(tmp_path):
    path = tmp_path / "d.pdf"
    path.write_bytes(b"%PDF")
    with pytest.raises(UserError, match=r"d\.pdf is neither a folder nor a file of documents.*\.jsonl"):
        open_collection(str(path))


def test_records_of_a_program():
    assert document_of("x", "record 1", 4) == Document("4", "", "x")
    assert document_of({"name": "T", "body": "x"}, "record 1", 4) == Document("4", "T", "x")
    assert document_of(Document("a", "T", "x"), "record 1", 4) == Document("a", "T", "x")
    assert document_of({"title": float("nan"), "text": None, "body": "x"}, "record 1", 4) == Document("4", "", "x")
    assert document_of({"name": {"first": "x"}, "subject": "S", "text": "x"}, "r", 4) == Document("4", "S", "x")
    with pytest.raises(UserError, match="record 1: expected an object or a string, found 'None'"):
        document_of(None, "record 1", 4)
