"""Which braces of wikitext belong together, found in one pass with a stack."""

import re
from typing import NamedTuple

_RUNS = re.compile(r"\{{2,}|\}{2,}")
_TEMPLATE, _PARAMETER = 2, 3


class Braces(NamedTuple):
    """A template, `{{...}}`, or a parameter, `{{{...}}}`."""

    start: int
    end: int
    width: int  # 2 or 3 braces on each side

    @property
    def is_parameter(self) -> bool:
        """Whether three braces enclose it."""
        return self.width == _PARAMETER


def pair_braces(wikitext: str) -> list[Braces]:
    """Returns the pairs in order of their start, outer ones before inner ones.

    As in MediaWiki, a closing run meets the innermost open run, and three braces of both are a parameter. Every step
    uses up braces, so that the work is linear whatever is nested or left open.
    """
    opened: list[list[int]] = []  # (end, number of braces) of each open run; its last braces are the innermost
    found = []
    for run in _RUNS.finditer(wikitext):
        at, left = run.start(), len(run[0])
        if wikitext[at] == "{":
            opened.append([run.end(), left])
            continue
        while left >= _TEMPLATE and opened:
            end, count = opened[-1]
            width = min(count, left, _PARAMETER)
            at, left, end, count = at + width, left - width, end - width, count - width
            found.append(Braces(end, at, width))
            opened[-1] = [end, count]
            if count < _TEMPLATE:
                opened.pop()
    return sorted(found)
