"""Whatever bytes a file holds, a reader gives a value or a `UserError`, never another exception."""

import gzip
import tracemalloc
from contextlib import suppress
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.corpus import open_collection, read_collection, read_qrels, read_run, read_topics
from gr2_jax.corpus.qrels import read_beir_qrels
from gr2_jax.errors import UserError
from gr2_jax.files import read_json

SPACES = [" ", "\t", "\n", "\r\n", "\x0c", "\u2028"]
ODD = [*SPACES, "\0", "\x1b[2J", "\ufeff", "é", "\u0661", "../../x", "<", '"']
NUMBERS = ["-1", "3.0", "2.5", "1_0", "1e999", "-1e39", "1001", "nan", "inf", "9" * 5000]
VALUES = ["null", "NaN", "-Infinity", "1e999", "[]", "{}", '"\\ud83d"', "[" * 20_000, "9" * 5000, ",", ":", "}"]
TAGS = ["<top>", "</top>", "<top id=7", "<num>", "</num>", "<TITLE>", "</title>", "<b>", "<br/>", "</topic>", "<x"]
XML = ["<!--", "-->", "<![CDATA[", "]]>", "&amp;", "&#x0;", "&no;", '<?xml version="1.0" encoding="latin-1"?>']
DOCUMENTS = ["<DOC>", "</DOC>", "<DOCNO>", "</DOCNO>", "<DOCHDR>", "</DOCHDR>", "<TEXT>", "<p>", "http:/", "200"]

OURS = {
    "documents.jsonl": '{"doc_id": "d1", "title": "t", "text": "one", "url": "u"}\n{"doc_id": 2, "text": null}\n',
    "queries.tsv": "q1\tone\nq2\ttwo\n",
    "qrels.txt": "q1 0 d1 1\n",
    "provenance.json": '{"name": "n", "provenance": {"source": "s"}, "entities": {"d1": ["a"]}}',
}
BEIR = {
    "corpus.jsonl": '{"_id": "d1", "title": "t", "text": "one", "metadata": {"url": "u"}}\n{"_id": 2, "text": ""}\n',
    "queries.jsonl": '{"_id": "q1", "text": "one"}\n',
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1.0\n",
}
TAGGED = "<top>\n<num> Number: 1\n<title> one\n</top>\n<top><num>2</num><title>two</title></top>\n"
TOPICS = '<t>\n<topic number="1"><title>one &lt;</title></topic>\n<query><id>2</id><content>two</content></query>\n</t>'
WEB = "<DOCHDR>\nhttp://a.org\nHTTP/1.1 200 OK\nContent-Type: text/html\n</DOCHDR>\n<html><p>One"
PAGES = f"<DOC>\n<DOCNO>d-1</DOCNO>\n{WEB}\n</DOC>\n<DOC>\n<DOCNO> d2 </DOCNO>\n<TEXT>\none\n</TEXT>\n</DOC>\n"
TREC = {"documents/a": PAGES, "topics": "q1\tone\n", "qrels": "q1 0 d1 1\n"}


def collection(folder):
    return open_collection(str(folder)).hold()


class Reader(NamedTuple):
    """`files` are sound, and `broken` is the one that the test breaks, with `words` where it is read."""

    read: object
    files: dict
    broken: str
    words: list

    @property
    def takes_a_folder(self):
        return self.read in (read_collection, collection)


READERS = {
    "run": Reader(read_run, {"run": "q1 Q0 d 1 2.5 t\nq1 Q0 e 2 1 t\n"}, "run", NUMBERS),
    "qrels": Reader(read_qrels, {"qrels": "q1 0 d 1\nq1 0 e 2.0\n"}, "qrels", NUMBERS),
    "BEIR qrels": Reader(read_beir_qrels, {"test.tsv": BEIR["qrels/test.tsv"]}, "test.tsv", NUMBERS),
    "table of topics": Reader(read_topics, {"topics": "1\tone\n2\ttwo\n"}, "topics", TAGS),
    "tagged topics": Reader(read_topics, {"topics": TAGGED}, "topics", TAGS + XML),
    "XML topics": Reader(read_topics, {"topics": TOPICS}, "topics", TAGS + XML),
    "JSON": Reader(read_json, {"any.json": '{"a": [1, -2.5e3, "b", null, true]}'}, "any.json", VALUES),
    **{f"our {name}": Reader(read_collection, OURS, name, VALUES) for name in OURS},
    **{f"BEIR's {name}": Reader(collection, BEIR, name, VALUES) for name in BEIR},
    "TREC's documents": Reader(collection, TREC, "documents/a", DOCUMENTS),
}


@st.composite
def broken(draw, sound, words):
    """Sound contents with a piece replaced, in some encoding, packed or not, or packed and cut; or the piece alone."""
    pieces = st.lists(st.sampled_from([*words, *ODD]), max_size=6).map("".join)
    piece = draw(pieces.map(str.encode) | pieces.map(lambda text: text.encode("utf-16")) | st.binary(max_size=20))
    start = draw(st.integers(0, len(sound)))
    end = draw(st.integers(start, min(start + 12, len(sound))) | st.just(len(sound)))
    contents = sound[:start] + piece + sound[end:]
    how = draw(st.sampled_from(["plain", "plain", "nothing else", "packed", "cut", "looks packed"]))
    packed = gzip.compress(contents, mtime=0)
    return {
        "plain": contents,
        "nothing else": piece,
        "packed": packed,
        "cut": packed[: draw(st.integers(0, len(packed)))],
        "looks packed": b"\x1f\x8b" + contents,
    }[how]


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
@settings(max_examples=60)
def test_any_bytes_are_read_or_refused(kind, data, tmp_path_factory):
    reader = READERS[kind]
    folder = tmp_path_factory.getbasetemp() / kind
    for name, text in reader.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    path = folder / reader.broken
    path.write_bytes(data.draw(broken(path.read_bytes(), reader.words)))
    with suppress(UserError):
        reader.read(folder if reader.takes_a_folder else path)


def test_a_packed_line_without_an_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    """Eight megabytes of blanks are eight kilobytes when packed."""
    monkeypatch.setattr("gr2_jax.corpus._files._LONGEST", 1 << 20)
    path = tmp_path / "qrels"
    path.write_bytes(gzip.compress(b"q1 0 d 1\nq1 0 e" + b" " * (8 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"qrels, line 2: it is longer than 1,048,576 bytes$"):
            read_qrels(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", READERS)
def test_the_sound_files_are_read(kind, tmp_path):
    """Otherwise what is broken above would be refused for another reason."""
    reader = READERS[kind]
    for name, text in reader.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    assert reader.read(tmp_path if reader.takes_a_folder else tmp_path / reader.broken)
