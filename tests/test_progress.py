import io
from types import SimpleNamespace

import pytest

from gr2_jax import progress as module
from gr2_jax.progress import progress, say, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only on request."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def terminal(monkeypatch):
    """A stderr that is a terminal, set in the module itself: pytest replaces sys.stderr between fixture and test."""
    stderr = Terminal()
    monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=stderr))
    return stderr


def test_plain_lines_now_and_then_where_there_is_no_terminal(capsys, clock, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_LINES", 9.0)
    with progress(100, "train") as bar:
        for _ in range(100):
            clock[0] += 2.0
            bar.advance(note="loss 3.2")
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    # every fifth step is 10 s after the last line; at the end no line is needed
    assert lines[0] == "  train: 5/100, 190 s left loss 3.2"
    assert lines[1] == "  train: 10/100, 180 s left loss 3.2"
    assert len(lines) == 19
    assert "\r" not in err


def test_no_line_before_the_interval_has_passed(capsys, clock):
    with progress(3, "short") as bar:
        for _ in range(3):
            clock[0] += 1.0
            bar.advance()
    assert capsys.readouterr() == ("", "")


def test_what_was_done_before_a_restart_does_not_count_as_speed(capsys, clock):
    with progress(100, "train", initial=60) as bar:
        clock[0] += 20.0
        bar.advance(10)
    assert capsys.readouterr().err == "  train: 70/100, 60 s left\n"


def test_a_bar_on_a_terminal(terminal, capsys):
    with progress(4, "train", initial=1) as bar:
        bar.advance(2, note="loss 3.2")
        bar._bar.refresh()
        shown = terminal.getvalue()
    assert "train:" in shown
    assert "3/4" in shown
    assert "loss 3.2" in shown
    assert "\n" not in terminal.getvalue().rstrip("\n")
    assert terminal.getvalue().endswith("\r")  # the bar is gone when the work is done
    assert capsys.readouterr().out == ""


def test_track_yields_everything_and_closes_the_bar_when_the_work_fails(terminal):
    assert list(track(iter("abc"), 3, "letters")) == ["a", "b", "c"]
    with pytest.raises(ZeroDivisionError), progress(3, "fails") as bar:
        raise ZeroDivisionError
    assert bar._bar.disable  # closed


def test_say_writes_to_stderr(capsys):
    say("a line")
    assert capsys.readouterr() == ("", "a line\n")


def test_no_time_left_is_shown_before_anything_is_done(capsys, clock):
    with progress(100, "parts") as bar:
        clock[0] += 20.0
        bar.advance(0)
    assert capsys.readouterr().err == "  parts: 0/100\n"
