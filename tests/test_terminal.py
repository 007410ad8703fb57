"""What the program prints: no control characters of anybody's titles, and nothing about a pipe that is closed."""

import importlib
import io
import json
import os
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax import cli, terminal
from gr2_jax.errors import UserError
from gr2_jax.progress import say

ESCAPES = "\x1b]0;mine\x07\x1b[2J\x9b1A\r\x7f\x00"
SHOWN = r"\x1b]0;mine\x07\x1b[2J\x9b1A\r\x7f\x00"
FORBIDDEN = {*map(chr, range(32)), *map(chr, range(127, 160))} - {"\n", "\t"}


@given(text=st.text())
def test_what_is_printable_has_no_control_characters_and_keeps_all_others(text):
    shown = terminal.printable(text)
    assert not FORBIDDEN & set(shown)
    shown.encode()  # no half of a surrogate pair either
    kept = [character for character in text if character not in FORBIDDEN and not 0xD800 <= ord(character) < 0xE000]
    assert shown == text or len(shown) > len(text)
    assert (shown == text) == (len(kept) == len(text))


@given(value=st.recursive(st.text(), st.lists, max_leaves=5))
def test_json_is_printed_as_it_can_be_read_and_no_escape_with_it(value):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", io.StringIO())
        terminal.show_json(value)
        printed = sys.stdout.getvalue()
    assert json.loads(printed) == value
    assert not FORBIDDEN & set(printed)
    assert printed.isascii()


def test_every_way_to_print_escapes(capsys):
    terminal.show(f"a\t{ESCAPES}\né")
    assert capsys.readouterr().out == f"a\t{SHOWN}\né\n"
    terminal.warn(f"one{ESCAPES}\ntwo")
    assert capsys.readouterr().err.startswith(r"gr2: one\x1b]0;mine\x07\x1b[2J\x9b1A")
    say(ESCAPES)
    assert capsys.readouterr().err == f"{SHOWN}\n"


def called(monkeypatch, command, run):
    monkeypatch.setattr(importlib.import_module(f"gr2_jax.commands.{command}"), "run", lambda options, settings: run())
    required = {
        "search": ["--workdir", "w"],
        "wikipedia": ["d", "--output", "o"],
        "pairs": ["s", "--output", "o"],
        "plan": ["c", "--topology", "v5e:1x1"],
        "config": ["show"],
    }
    words = required.get(
        command, [] if command == "quickstart" else ["a", "b"] if command in ("metrics", "convert", "export") else ["a"]
    )
    with pytest.raises(SystemExit) as stop:
        cli.main([command, *words])
    return stop.value.code


def test_the_sentence_of_an_error_escapes(monkeypatch, capsys):
    def fail():
        raise UserError(f"there is no {ESCAPES[:4]}\nx")

    assert called(monkeypatch, "metrics", fail) == 2
    assert capsys.readouterr().err == "gr2: there is no \\x1b]0; x\n"


@pytest.fixture
def closed_stdout(monkeypatch):
    """Stdout is a pipe whose reader has left; buffered or not."""

    def close(buffered):
        reading, writing = os.pipe()
        os.close(reading)
        raw = os.fdopen(writing, "wb", -1 if buffered else 0)
        opened.append(io.TextIOWrapper(raw, "utf-8", write_through=not buffered))
        monkeypatch.setattr(sys, "stdout", opened[-1])
        monkeypatch.setattr(sys, "stderr", opened_err)

    opened, opened_err = [], os.fdopen(os.dup(2), "w")
    yield close
    for stream in (*opened, opened_err):
        stream.close()


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("command", cli.COMMANDS)
def test_a_pipe_that_is_closed_ends_every_command_without_a_word(command, buffered, closed_stdout, monkeypatch, capfd):
    def prints():
        for line in range(3):
            terminal.show(f"line {line}")
        return 0

    closed_stdout(buffered)
    assert called(monkeypatch, command, prints) == 141
    assert capfd.readouterr() == ("", "")


def test_another_pipe_that_breaks_is_an_error(monkeypatch, capfd):
    def breaks():
        raise BrokenPipeError("the pipe of a worker")

    with capfd.disabled(), open(os.devnull, "w") as out, open(os.devnull, "w") as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        assert called(monkeypatch, "metrics", breaks) == 2


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_as_a_program(tmp_path, unbuffered):
    """Python complains of what it could not write only when it ends."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "gr2_jax", "metrics", "--help"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode in (0, 141)


SEARCH = """
from types import SimpleNamespace
from gr2_jax import cli
from gr2_jax.corpus import Document
from gr2_jax.pipeline import open_run
from gr2_jax.search.searcher import Hit

hits = [Hit("d", "", 1.0, proven=True)] * 5000
searcher = SimpleNamespace(options=None, search=lambda queries, k: [hits])
documents = {"d": Document("d", "", "text")}
open_run.open_row = lambda *_, **__: SimpleNamespace(searcher=searcher, documents=documents, row="r")
cli.main(["search", "a query", "--workdir", "w"])
"""


@pytest.fixture
def piped(tmp_path):
    """What the first lines of a program's output and its stderr are, where `head -1` reads it."""
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "documents.jsonl").write_text('{"doc_id": "d1", "text": "a text"}\n')
    (tmp_path / "corpus" / "queries.tsv").write_text("q1\ta query\n")
    (tmp_path / "corpus" / "qrels.txt").write_text("q1 0 d1 1\n")
    (tmp_path / "a.trec").write_text("q1 Q0 d1 1 2.0 t\n")
    (tmp_path / "search.py").write_text(SEARCH)

    def run(line):
        done = subprocess.run(
            f'{line} | head -1; exit "${{PIPESTATUS[0]}}"',
            shell=True,
            executable=shutil.which("bash"),
            cwd=tmp_path,
            env=os.environ | {"PYTHON": sys.executable},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("$PYTHON search.py", " 1     1.000  d\n"),
        ("$PYTHON -u -m gr2_jax collection corpus", None),
        ("$PYTHON -u -m gr2_jax metrics a.trec corpus/qrels.txt --measures P@1", "| run |    P@1 |\n"),
        ("$PYTHON -u -m gr2_jax config show mesh", None),
    ],
)
def test_the_first_line_alone(piped, line, first):
    code, out, err = piped(line)
    assert code in (0, 141)
    assert err == ""
    assert out.count("\n") == 1
    assert first is None or out == first


def test_a_title_that_the_terminal_cannot_encode(monkeypatch):
    plain = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(plain, "ascii"))
    assert called(monkeypatch, "collection", lambda: terminal.show("café…") or 0) == 0
    assert plain.getvalue() == b"caf\\xe9\\u2026\n"


@given(text=st.text("ab/'?:", max_size=3 * terminal.LONGEST))
def test_a_long_message_keeps_its_two_ends(text):
    short = terminal.shortened(text)
    assert len(short) <= terminal.LONGEST
    assert (short == text) == (len(text) <= terminal.LONGEST)
    if short != text:
        start, _, end = short.partition(" … ")
        assert text.startswith(start)
        assert text.endswith(end)


def test_a_message_with_a_path_of_a_thousand_characters_says_what_is_wrong_and_what_would_be_right(monkeypatch, capsys):
    def fail():
        raise UserError(f"there is no file /{'a/' * 500}x: did you mean 'y'?")

    assert called(monkeypatch, "metrics", fail) == 2
    said = capsys.readouterr().err
    assert said.startswith("gr2: there is no file /a/a")
    assert said.endswith("a/x: did you mean 'y'?\n")
    assert " … " in said
    assert len(said) <= len("gr2: \n") + terminal.LONGEST
