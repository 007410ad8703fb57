"""Parts of a run's work, for whoever wants to measure them (`gr2 rehearse`)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path

Watcher = Callable[[Path], AbstractContextManager]
"""Gives a context for the making of a place; the part's work is done in it."""

_watcher: ContextVar[Watcher] = ContextVar("watcher", default=lambda place: nullcontext())


def part(place: Path) -> AbstractContextManager:
    """The context in which `place` is made: a stage's directory, or a part of it by the name of a file in there."""
    return _watcher.get()(place)


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """While the block runs, every part is made in a context of the watcher."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)
