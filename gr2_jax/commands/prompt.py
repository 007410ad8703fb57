"""Queries from a pipe, or typed at a terminal: a prompt, a line editor, and what was asked before."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_KEPT = 1000  # queries


def queries_on_stdin(what: str, row: str) -> Iterator[str]:
    """Every line of a pipe; at a terminal lines are asked for, until an empty one or the end (Ctrl-D).

    Args:
        what: What is searched, such as "3,793 documents".
        row: With which row: the prompt.
    """
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin)
        return
    print(f"searching {what} with {row}; an empty line or Ctrl-D leaves", file=sys.stderr)
    with _history():
        try:
            while query := input(f"{row}> ").strip():
                yield query
        except EOFError:
            print()  # the shell's prompt begins a line of its own


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """Gives `input` a line editor with the queries of before. It is a comfort: where Python has no readline, or the
    file cannot be read or written, there is none."""
    try:
        import readline
    except ImportError:
        yield
        return
    path = _history_file()
    readline.clear_history()
    readline.set_history_length(_KEPT)
    if path is not None:
        with contextlib.suppress(OSError):
            readline.read_history_file(path)
    try:
        yield
    finally:
        if path is not None:
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(mode=0o600)  # queries are nobody else's business
                readline.write_history_file(path)


def _history_file() -> Path | None:
    """GR2_HISTORY, empty for none; by default gr2/history in the user's folder for the state of programs."""
    if (given := os.environ.get("GR2_HISTORY")) is not None:
        return Path(given) if given else None
    try:
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "gr2" / "history"
    except RuntimeError:  # a user without a home
        return None
