"""Counts what the parsing of wikitext does, imported by the tests of its time."""

import re
import sys
from collections.abc import Callable
from types import ModuleType


class Counting:
    """A pattern that adds the characters it reads to `total`: to the end of a match, or of the text without one."""

    total = 0

    def __init__(self, pattern: re.Pattern[str]):
        self._pattern = pattern

    def __getattr__(self, name: str) -> Callable:
        method = getattr(self._pattern, name)

        def counted(*arguments):
            *_, text = [argument for argument in arguments if isinstance(argument, str)]  # before it, a replacement
            given = [argument for argument in arguments if isinstance(argument, int)]
            start, end = given + [0, len(text)][len(given) :]
            found = method(*arguments)
            Counting.total += (found.end() if isinstance(found, re.Match) else min(end, len(text))) - start
            return found

        return counted if callable(method) else method


def count_patterns(monkeypatch, modules: list[ModuleType]) -> None:
    """Makes the modules count what their patterns read."""
    for module in modules:
        for name, value in list(vars(module).items()):
            if isinstance(value, re.Pattern):
                monkeypatch.setattr(module, name, Counting(value))


def work(task: Callable[[], object]) -> int:
    """Returns the characters that patterns read, and the calls that are made, while the task runs."""
    calls, Counting.total = 0, 0

    def on_event(frame, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(on_event)
    try:
        task()
    finally:
        sys.setprofile(None)
    return calls + Counting.total
