"""Progress of long work: on a terminal a bar with the time left, elsewhere a plain line every 15 seconds."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

from gr2_jax.terminal import printable

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 15.0


_quiet = False


def be_quiet() -> None:
    """Prints nothing from here on: of the processes of a job only the first prints."""
    global _quiet
    _quiet = True


def say(text: str) -> None:
    """Prints one line on stderr; stdout holds results only."""
    if not _quiet:
        tqdm.write(printable(text), file=sys.stderr)


@contextmanager
def progress(total: int, label: str, *, initial: int = 0) -> Iterator["Progress"]:
    """`with progress(n, "train") as bar: bar.advance(note="loss 3.2")`."""
    bar = Progress(total, label, initial)
    try:
        yield bar
    finally:
        bar.close()


def track(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Yields the items and shows how many have passed."""
    with progress(total, label) as bar:
        for item in items:
            yield item
            bar.advance()


class Progress:
    def __init__(self, total: int, label: str, initial: int):
        self._label, self._total, self._done = label, total, initial
        self._started, self._first, self._said = time.monotonic(), initial, time.monotonic()
        terminal = sys.stderr.isatty() and not _quiet
        self._bar = tqdm(total=total, desc=label, initial=initial, file=sys.stderr, leave=False) if terminal else None

    def advance(self, count: int = 1, note: str = "") -> None:
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
            if note:
                self._bar.set_postfix_str(note, refresh=False)
        elif not _quiet and time.monotonic() - self._said > _SECONDS_BETWEEN_LINES and self._done < self._total:
            self._said = time.monotonic()
            rate = (self._done - self._first) / (self._said - self._started)
            left = f", {(self._total - self._done) / rate:.0f} s left" if rate else ""
            print(f"  {self._label}: {self._done}/{self._total}{left} {note}".rstrip(), file=sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
