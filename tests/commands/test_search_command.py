"""`gr2 search` as it talks to a terminal and a pipe, with a searcher that only counts words."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gr2_jax.cli import main
from gr2_jax.commands.search import _lines, _record
from gr2_jax.corpus import Document
from gr2_jax.pipeline import open_run
from gr2_jax.search.opened import OpenRetriever
from gr2_jax.search.searcher import Hit

EVIL = "\x1b]0;mine\x07\x9b2J"


class Words:
    options = SimpleNamespace(exact="no")
    proves = True

    def search(self, queries, k):
        return [[Hit(f"../{EVIL}", EVIL, float(len(query.split())), proven=True)][:k] for query in queries]


@pytest.fixture
def search(monkeypatch, capsys):
    documents = {f"../{EVIL}": Document(f"../{EVIL}", "", f"{EVIL}title\nsecond line")}
    opened = OpenRetriever(Words(), "W", documents, Path("w"))
    monkeypatch.setattr(open_run, "open_row", lambda *_, **__: opened)

    def call(*arguments, typed=b"", encoding="utf-8"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed), encoding))
        with pytest.raises(SystemExit) as stop:
            main(["search", "--workdir", "w", *arguments])
        return stop.value.code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_query_that_is_not_utf8_is_named_and_the_next_is_answered(search, encoding):
    typed = b"sort an array\n\ncaf\xe9 near me\r\ncaf\xc3\xa9\n"
    code, out, err = search("--json", typed=typed, encoding=encoding)
    assert code == 2
    assert [json.loads(line)["query"] for line in out.splitlines()] == ["sort an array", "café"]
    assert err == "gr2: standard input, line 3: the query is not UTF-8 text\n"
    code, out, err = search(typed=b"one\ntwo\n")
    assert (code, err, out.count("proven")) == (0, "", 2)


def test_ids_docids_and_texts_reach_the_terminal_without_escapes(search):
    code, out, _ = search("a query")
    assert code == 0
    assert out.splitlines()[:2] == [
        r" 1     2.000  ../\x1b]0;mine\x07\x9b2J  [\x1b]0;mine\x07\x9b2J]",
        r"              \x1b]0;mine\x07\x9b2Jtitle",
    ]
    _, out, _ = search("a query", "--json")
    assert json.loads(out)["hits"][0]["doc_id"] == f"../{EVIL}"
    assert "\x1b" not in out


DOCUMENTS = {
    "d1": Document("d1", "A Title", "first line\n\nsecond line"),
    "d2": Document("d2", "", "text"),
    "d3": Document("d3", "Sort Array", "text"),
    "Sorting": Document("Sorting", "sorting", "text"),
}


def test_a_hit_names_the_title_where_it_says_something_else_than_the_docid_and_the_id():
    docids = ["title a", "", "sort array", "docid"]
    hits = [Hit(name, docid, 1.5, proven=True) for name, docid in zip(DOCUMENTS, docids, strict=True)]
    lines = list(_lines(hits, DOCUMENTS))
    assert lines[::2] == [
        " 1     1.500  d1  A Title  [title a]",
        " 2     1.500  d2",
        " 3     1.500  d3  [sort array]",
        " 4     1.500  Sorting  [docid]",
    ]
    assert lines[1].strip() == "first line"


def test_a_hit_for_a_program_has_its_rank_title_and_whole_text():
    hits = [Hit("d2", "docid", 2.0, proven=True), Hit("d1", "docid", 1.0, proven=False, similarity=0.5)]
    record = _record("a query", OpenRetriever(Words(), "W", DOCUMENTS, Path("w")).found(hits))
    assert record["query"] == "a query"
    assert [hit["rank"] for hit in record["hits"]] == [1, 2]
    assert record["hits"][1] == {
        "rank": 2,
        "doc_id": "d1",
        "docid": "docid",
        "score": 1.0,
        "proven": False,
        "log_likelihood": None,
        "similarity": 0.5,
        "title": "A Title",
        "text": "first line\n\nsecond line",
    }


def test_ctrl_c_leaves_with_a_newline_and_its_code(search, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Words, "search", stopped)
    assert search("a query") == (130, "", "\n")


def test_a_query_that_finds_nothing_has_one_line(search, monkeypatch):
    monkeypatch.setattr(Words, "search", lambda *_: [[]])
    code, out, err = search("a query")
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert out.startswith("proven: the first 0 of 0")
