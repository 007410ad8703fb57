"""Letters of every script, as sets for regular expressions (`re` has no properties of Unicode).

Within ASCII, `[{upper()}]` is `[A-Z]` and the other sets are empty: they only change what lies beyond.
"""

import unicodedata
from collections.abc import Iterable
from functools import cache

_LAST = 0x1FFFF  # beyond are only Han characters, tags and private use
_BLANKLESS = (
    "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f\U0001b000-\U0001b16f"  # kana
)


def blankless() -> str:
    """The letters, and their marks, of scripts that put no blanks between words."""
    return _BLANKLESS


@cache
def upper() -> str:
    """Capital letters."""
    return _ranges(chr(code).isupper() or chr(code).istitle() for code in range(_LAST))


@cache
def marks() -> str:
    """Combining marks: accents, vowel signs. They belong to the letter before them, but not to `\\w`."""
    return _ranges(unicodedata.category(chr(code))[0] == "M" for code in range(_LAST))


def _ranges(members: Iterable[bool]) -> str:
    """Returns the codes whose flag is set, as the inside of `[...]`."""
    found: list[list[int]] = []
    for code, member in enumerate(members):
        if member and found and found[-1][1] == code - 1:
            found[-1][1] = code
        elif member:
            found.append([code, code])
    return "".join(chr(first) if first == last else f"{chr(first)}-{chr(last)}" for first, last in found)
