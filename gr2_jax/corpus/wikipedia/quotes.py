"""Removes the apostrophes that mark bold and italics, and keeps those that are text, as MediaWiki counts them."""

import re

from gr2_jax.corpus.scripts import marks
from gr2_jax.corpus.wikipedia.standins import EDGE

_RUN = re.compile("('{2,})")
_ITALIC, _BOLD, _BOTH = 2, 3, 5
_LETTER_LAST, _LETTER_FIRST = re.compile(rf"[^\W\d_][{marks()}]*{EDGE}?\Z"), re.compile(rf"{EDGE}?[^\W\d_]")


def without_quotes(text: str) -> str:
    """Returns the text without bold and italics, and without the EDGEs of links. A line ends all that is open in it."""
    if "''" in text:
        text = "\n".join(_unquoted(line) if "''" in line else line for line in text.split("\n"))
    return text.replace(EDGE, "")


def _unquoted(line: str) -> str:
    pieces = _RUN.split(line)
    texts, runs = pieces[::2], [len(run) for run in pieces[1::2]]
    for place, length in enumerate(runs):
        mark = _BOLD if length == 4 else min(length, _BOTH)
        texts[place] += "'" * (length - mark)
        runs[place] = mark
    for read in (_within_words, _one_of_odd_numbers):
        for place in read(texts, runs):
            texts[place] += "'"
            runs[place] = _ITALIC
    return "".join(texts)


def _within_words(texts: list[str], runs: list[int]) -> list[int]:
    """Returns the runs of three between letters that are an apostrophe and italics: `''Eagle'''s`, `dell'''Iliade''`.

    MediaWiki would take two of these on one line for bold. Nobody writes that, and the words would lose their
    apostrophes.
    """
    found, bold, italic = [], False, False
    for place, run in enumerate(runs):
        after = runs[place + 1] if place + 1 < len(runs) else 0
        closes, opens = italic and after != _BOLD, not italic and after == _ITALIC
        within = run == _BOLD and not bold and (closes or opens)
        if within and _LETTER_LAST.search(texts[place][-4:]) and _LETTER_FIRST.match(texts[place + 1]):
            found.append(place)
            run = _ITALIC
        bold ^= run != _ITALIC
        italic ^= run != _BOLD
    return found


def _one_of_odd_numbers(texts: list[str], runs: list[int]) -> list[int]:
    """If bold and italics are both odd in number, one bold is an apostrophe and italics: returns which.

    It is the first one after a word of one letter (of one byte, as MediaWiki counts); else the first one after a longer
    word; else the first one after a blank.
    """
    if sum(run != _ITALIC for run in runs) % 2 == 0 or sum(run != _BOLD for run in runs) % 2 == 0:
        return []
    bold = [place for place, run in enumerate(runs) if run == _BOLD]
    ends = {place: texts[place][-2:] for place in bold}
    one_letter = [place for place in bold if ends[place][:-1] == " " and ends[place][1:].isascii()]
    one_letter = [place for place in one_letter if ends[place][1:] != " "]
    words = [place for place in bold if not ends[place].endswith(" ")]
    return (one_letter or words or bold)[:1]
