"""`gr2 search` as it talks to a terminal and a pipe, with a searcher that only counts words."""

import io
import json
import sys
from types import SimpleNamespace

import pytest

from gr2_jax.cli import main
from gr2_jax.pipeline import open_run
from gr2_jax.search.searcher import Hit

EVIL = "\x1b]0;mine\x07\x9b2J"


class Words:
    options = SimpleNamespace(exact="no")

    def search(self, queries, k):
        return [[Hit(f"../{EVIL}", EVIL, float(len(query.split())), proven=True)][:k] for query in queries]


@pytest.fixture
def search(monkeypatch, capsys):
    run = SimpleNamespace(texts={f"../{EVIL}": f"{EVIL}title\nsecond line"})
    monkeypatch.setattr(open_run, "open_row", lambda *_, **__: SimpleNamespace(searcher=Words(), run=run))

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
