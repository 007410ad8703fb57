"""`gr2 search` at a terminal (a pty), as a program of its own whose searcher only counts words."""

import os
import select
import subprocess
import sys

import pytest

pty = pytest.importorskip("pty")
pytest.importorskip("readline")

PROGRAM = """
import fcntl, signal, termios
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background inherit that it is ignored
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches the program
from types import SimpleNamespace
from gr2_jax.corpus import Document
from gr2_jax.pipeline import open_run
from gr2_jax.search.searcher import Hit

class Words:
    options = SimpleNamespace(exact="no")
    proves = True
    def search(self, queries, k):
        return [[Hit("d1", "a docid", float(len(query.split())), proven=True)] for query in queries]

documents = {"d1": Document("d1", "", "text")} | {f"e{n}": None for n in range(2999)}
open_run.open_row = lambda *_, **__: SimpleNamespace(searcher=Words(), documents=documents, row="GR2S")
from gr2_jax.cli import main
main(["search", "--workdir", "w"])
"""
PATIENCE = 60  # seconds, for a machine that is busy


class Terminal:
    def __init__(self, home, **environment):
        self.screen, behind = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=behind,
            stdout=behind,
            stderr=behind,
            env=os.environ | {"HOME": str(home), "XDG_STATE_HOME": "", "TERM": "dumb"} | environment,
            start_new_session=True,
        )
        os.close(behind)
        self.shown, self.seen = "", 0

    def until(self, text):
        """Reads what is shown until the text has come, after what earlier calls have waited for."""
        while (place := self.shown.find(text, self.seen)) < 0:
            assert self.more(), f"{text!r} did not come: {self.shown!r}"
        self.seen = place + len(text)

    def more(self):
        assert select.select([self.screen], [], [], PATIENCE)[0], f"no more came: {self.shown!r}"
        try:
            part = os.read(self.screen, 4096).decode()
        except OSError:  # the program has left
            return False
        self.shown += part
        return bool(part)

    def type(self, text):
        os.write(self.screen, text.encode())

    def ask(self, query):
        """Types a query and waits for the prompt after its answer: keys that come before it are not the editor's."""
        self.type(f"{query}\n")
        self.until("proven: ")
        self.until("GR2S> ")

    def leave(self, keys):
        """Types `keys`, as often as a user would, until the program has left: its exit code.

        A signal that comes after the prompt is shown and before Python's line editor waits for keys is seen at the next
        key only.
        """
        for _ in range(PATIENCE):
            self.type(keys)
            if select.select([self.screen], [], [], 1)[0]:
                break
        while self.more():
            pass
        return self.process.wait(PATIENCE)


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def start(**environment):
        opened.append(Terminal(tmp_path, **environment))
        opened[-1].until("GR2S> ")
        return opened[-1]

    yield start
    for each in opened:
        each.process.kill()
        each.process.wait()
        os.close(each.screen)


@pytest.mark.parametrize(("keys", "code"), [("\x04", 0), ("\n", 0), ("\x03", 130)], ids=["Ctrl-D", "empty", "Ctrl-C"])
def test_the_prompt_says_what_is_searched_and_how_to_leave(terminal, tmp_path, keys, code):
    program = terminal()
    assert "searching 3,000 documents with GR2S; an empty line or Ctrl-D leaves" in program.shown
    program.ask("one two three")
    assert "3.000  d1  [a docid]" in program.shown
    assert program.leave(keys) == code
    assert program.shown.endswith("\n")
    assert "Traceback" not in program.shown
    assert "stopped" not in program.shown
    history = tmp_path / ".local" / "state" / "gr2" / "history"
    assert "one two three" in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600


def test_what_was_asked_before_comes_back_with_the_arrow(terminal):
    program = terminal()
    program.ask("first of all")
    program.ask("another")
    assert program.leave("\x04") == 0
    program = terminal()
    program.ask("\x10\x10")  # Ctrl-P is the arrow up
    assert "3.000  d1" in program.shown


@pytest.mark.parametrize("where", ["", "file/below"])
def test_without_a_history_that_can_be_kept(terminal, tmp_path, where):
    (tmp_path / "file").touch()
    program = terminal(GR2_HISTORY=where and str(tmp_path / where))
    program.ask("one")
    assert program.leave("\x04") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
