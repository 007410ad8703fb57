"""Splits prose with formulas, names and abbreviations into paragraphs and sentences, in every script."""

import re
from collections.abc import Iterator
from functools import cache

from gr2_jax.corpus.abbreviations import abbreviation_of
from gr2_jax.corpus.scripts import blankless

HOLE = "\ufffc"  # the object replacement character: here a text lacks words that its reader saw, such as a formula

# The marks that end a sentence if a blank and a character follow that can begin one: `1.5` and `e.g. this` stay whole.
_STOPS = ".!?\u203c\u203d\u2047-\u2049"
# The marks of other scripts, which mean nothing else; in most of these scripts no blank follows.
_FULL_STOPS = (
    "\u0589\u061d-\u061f\u06d4\u0700-\u0702\u0964\u0965\u0df4\u0f0d\u0f0e\u104b\u1362\u1367\u1368\u166e"  # Armenian on
    "\u1803\u1809\u17d4\u17d5\u1c7e\u1c7f\u2e2e\u3002\ufe12\ufe52\ufe56\ufe57\uff01\uff1f\uff61"
)
_CLOSERS = "\"'\u2019\u201d\u201c\u00bb\u203a\u00ab\u2039)\\]\u300b\u300d\u300f\u3011\uff09\uff3d\uff5d"
_OPENERS = "\"'\u2018\u201c(\\[`\u00ab\u2039\u00bb\u203a\u201e\u201a\u00bf\u00a1\u300a\u300c\u300e\u3010\uff08"

# Has a blank before it. Not `(?:...)?+`: before Python 3.11.5 re then gives up matches (gh-106052).
_FRENCH_CLOSER = r"(?:\s[\u00bb\u203a](?!\S)|(?!\s[\u00bb\u203a](?!\S)))"

# A run of marks has one possible end: the look behind and the possessive `++` keep the search linear.
_END = re.compile(
    rf"(?<![{_STOPS}])(?P<stop>[{_STOPS}]++[{_CLOSERS}]*+{_FRENCH_CLOSER})(?=\s+(?:[\u00ab\u2039]\s?|(?![\u00ab\u2039])[{_OPENERS}])*(?P<next>[^\W_]))"
    rf"|(?<=\s)[.!?](?=\s)"
    rf"|(?P<full>(?:[{_FULL_STOPS}]|\uff0e(?!\d))++)(?P<closed>[{_CLOSERS}]*+)(?P<blank>\s?)"
)
_FINAL = re.compile(rf"[{_STOPS}{_FULL_STOPS}\uff0e][{_CLOSERS}]*{_FRENCH_CLOSER}\Z")
_SPACED = re.compile(r"\s[.!?]\Z")

# Characters before a full stop that are searched for an abbreviation.
_LONGEST = 16


def paragraphs(text: str) -> tuple[str, ...]:
    """Returns the blocks between blank lines, with white space collapsed and empty blocks left out."""
    blocks = (" ".join(block.split()) for block in re.split(r"\n[ \t\r]*\n", text))
    return tuple(block for block in blocks if block)


def sentences(text: str, language: str = "en") -> tuple[str, ...]:
    """Returns the sentences of the text in order; a paragraph's end always ends a sentence.

    A full stop ends a sentence only before white space and a character that can begin one, that is, any but a small
    letter: `1.5`, `numpy.linalg` and `e.g. this` stay whole. It does not end one after an initial or a common
    abbreviation of the language (a code such as "de"; languages without a list have the English one). A stop between
    spaces, as in pre-tokenised text, always ends one, and so do the marks of scripts that have their own (`。`, `।`).
    """
    abbreviation = abbreviation_of(language.split("-")[0])
    found = []
    for paragraph in paragraphs(text):
        start = 0
        for end in _ends(paragraph):
            if not abbreviation.search(paragraph, max(start, end - _LONGEST), end):
                found.append(paragraph[start:end].strip())
                start = end
        found.append(paragraph[start:].strip())
    return tuple(sentence for sentence in found if any(character.isalnum() for character in sentence))


def is_complete(sentence: str) -> bool:
    """Whether the sentence has a mark at its end, perhaps within quotes or brackets."""
    return bool(_FINAL.search(sentence))


def word_count(sentence: str) -> int:
    """Returns the number of words between blanks; in scripts without blanks, two letters count as a word."""
    return sentence.count(" ") + 1 + sum((len(run) - 1) // 2 for run in _blankless_runs().findall(sentence))


def _ends(paragraph: str) -> Iterator[int]:
    for end in _END.finditer(paragraph):
        if end["stop"]:
            if _may_begin(end["next"]) or _SPACED.search(paragraph, end.start() - 1, end.end()):
                yield end.end()
        elif end["full"] is None or end["blank"] or not end["closed"]:
            yield end.end()


def _may_begin(character: str) -> bool:
    """Whether a sentence may begin with it; Georgian has capitals, but no sentence begins with them."""
    return not character.islower() or "\u10d0" <= character <= "\u10ff"


@cache
def _blankless_runs() -> re.Pattern[str]:
    return re.compile(rf"[{blankless()}]+")
