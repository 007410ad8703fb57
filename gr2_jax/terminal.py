"""What reaches a terminal: text without control characters, and a pipe whose reader has left."""

import io
import json
import os
import re
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gr2_jax.buckets import with_urls

# A title or an id from elsewhere may hold them, and they can move the cursor, rename the window or paste commands.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

LONGEST = 500  # characters of a message
PIPE_CLOSED = 141  # the code of a program that SIGPIPE ends: 128 + 13


def printable(text: str) -> str:
    r"""The text with escapes, such as `\x1b`, in place of control characters other than line ends and tabs, and with
    URLs in place of the folders on this disk that are copies of a bucket's."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), with_urls(text))


def show(text: str, *, flush: bool = False) -> None:
    """Prints results on stdout."""
    print(printable(text), flush=flush)


def show_json(value: Any, *, flush: bool = False) -> None:
    """Prints a result as one line of JSON, in ASCII."""
    print(json.dumps(value).replace("\x7f", "\\u007f"), flush=flush)


def warn(text: str) -> None:
    """Prints one line on stderr that begins with the program's name; of a long one its two ends."""
    print(f"gr2: {shortened(printable(' '.join(text.splitlines())))}", file=sys.stderr)


def shortened(text: str) -> str:
    """A text of at most `LONGEST` characters. A message says first what is wrong and last what would be right: what is
    cut is its middle."""
    if len(text) <= LONGEST:
        return text
    end = LONGEST // 2
    return f"{text[: LONGEST - end - 3].rstrip()} … {text[-end:].lstrip()}"


def escape_what_stdout_cannot_encode() -> None:
    """Of a terminal that is not UTF-8: a title must not end the program."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def reader_has_left() -> bool:
    """Whether stdout or stderr is a pipe that nobody reads any more."""
    streams = select.poll()
    for stream in (sys.stdout, sys.stderr):
        streams.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in streams.poll(0))


def flush_or_silence() -> None:
    """Writes out what is printed; a stream that takes nothing more is silenced, of which Python would complain when it
    ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


@contextmanager
def native_messages_hidden() -> Iterator[None]:
    """Sends file descriptor 2 to /dev/null: TensorFlow's C++ writes there before any log level is read."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
