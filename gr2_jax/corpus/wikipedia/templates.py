"""Templates in prose: those that stand for words are written out; others leave a hole, unless nothing is missing."""

import re
from bisect import bisect_left

from gr2_jax.corpus.sentences import HOLE
from gr2_jax.corpus.wikipedia.braces import Braces, pair_braces
from gr2_jax.corpus.wikipedia.standins import BLOCK, GAP
from gr2_jax.corpus.wikipedia.template_words import handler_of

MOST_DEPTH = 40  # of templates that are written out; MediaWiki stops at 40 levels of templates, too

_NAME = re.compile(r"[^{}|\[\]<>]*+")
_UNCLOSED = re.compile(r"\{\{[^\n]*")
_SEPARATOR = re.compile(r"\[\[|\]\]|[|=]")

_STOPS, _CLOSERS = ".!?\u2026\u3002\uff01\uff1f\u0964\u061f\u06d4", "\"'\u2019\u201d\u00bb)\\]\u300d\u300f\uff09"
_COMMAS = ",;\uff0c\uff1b\u3001\u060c\u061b"
_GAPS = rf"[{GAP}{BLOCK}](?:[ \t]*+[{GAP}{BLOCK}])*+"
_AT_LINE_START = re.compile(rf"\A([*#:;]*+)[ \t]*+{_GAPS}[ \t]*+")
_AFTER_SENTENCE = re.compile(rf"([{_STOPS}][{_CLOSERS}]*+)([ \t]*+){_GAPS}([ \t]*+\Z)?")
_ASIDE = re.compile(r"[(\uff08][^()\uff08\uff09]*+[)\uff09]")
_ITEM = re.compile(
    rf"([(\uff08{_COMMAS}])[ \t]*+{_GAPS}(?:[ \t]+(?:or|and|also)[ \t]+{_GAPS})*+[ \t]*+(?=[)\uff09{_COMMAS}])"
)


def expand_templates(wikitext: str, language: str) -> str:
    """Returns the wikitext without templates.

    Known ones are written out. An unknown one leaves a HOLE where a sentence may lack its words, but not where none is
    missing: on lines of its own, after the end of a sentence, or as an item of its own in parentheses.
    """
    if "{{" in wikitext:
        wikitext = _UNCLOSED.sub(GAP, _Expansion(wikitext, language).text(0, len(wikitext), 0))
    return _without_gaps(wikitext)


class _Expansion:
    """The templates of one wikitext. Unknown ones are skipped whole, with all that is in them."""

    def __init__(self, wikitext: str, language: str):
        self._wikitext, self._language = wikitext, language
        self._pairs = pair_braces(wikitext)
        self._starts = [pair.start for pair in self._pairs]

    def text(self, start: int, end: int, depth: int) -> str:
        """Returns a part of the wikitext, which cuts no template, without its templates."""
        return "".join(self._pieces(start, end, depth))

    def _pieces(self, start: int, end: int, depth: int) -> list[str]:
        """Returns wikitext, what a template shows, wikitext, ..., wikitext."""
        pieces, place = [], bisect_left(self._starts, start)
        while place < len(self._pairs) and self._pairs[place].start < end:
            pair = self._pairs[place]
            pieces += self._wikitext[start : pair.start], self._shown(pair, depth)
            start = pair.end
            place = bisect_left(self._starts, start, place)
        return [*pieces, self._wikitext[start:end]]

    def _shown(self, pair: Braces, depth: int) -> str:
        start, end = pair.start + pair.width, pair.end - pair.width
        name = _NAME.match(self._wikitext, start, end)
        has_arguments = name.end() < end and self._wikitext[name.end()] == "|"
        if depth == MOST_DEPTH or not (has_arguments or name.end() == end):
            return self._unknown(pair)
        if pair.is_parameter:  # an article is not called with parameters: their defaults are shown
            return self.text(name.end() + 1, end, depth + 1) if has_arguments else GAP
        handler, given = handler_of(name[0], self._language)
        if handler is None or isinstance(handler, str):
            return self._unknown(pair) if handler is None else handler
        pieces = self._pieces(name.end() + 1, end, depth + 1) if has_arguments else []
        return handler([*given, *_positional(pieces)])

    def _unknown(self, pair: Braces) -> str:
        return GAP if self._wikitext.find("\n", pair.start, pair.end) < 0 else BLOCK


def _positional(pieces: list[str]) -> list[str]:
    """Returns the arguments without a name, or with a number as name. Only wikitext separates them: neither links in it
    nor templates, the pieces at odd places."""
    found: list[str] = []
    name, value, links = None, [], 0

    def finish() -> None:
        if name is None or name.isdigit():
            found.append("".join(value).strip())

    for place, piece in enumerate(pieces):
        at = 0
        for mark in _SEPARATOR.finditer(piece) if place % 2 == 0 else ():
            if mark[0] in ("[[", "]]"):
                links = max(0, links + (1 if mark[0] == "[[" else -1))
            elif not links and (mark[0] == "|" or name is None):
                value.append(piece[at : mark.start()])
                at = mark.end()
                if mark[0] == "|":
                    finish()
                name, value = (None if mark[0] == "|" else "".join(value).strip()), []
        value.append(piece[at:])
    if pieces:
        finish()
    return found


def _without_gaps(text: str) -> str:
    """Removes the gaps that leave a sentence whole and makes the others holes."""
    if GAP in text or BLOCK in text:
        text = _ASIDE.sub(lambda aside: _ITEM.sub(_item, aside[0]), text)
        text = "\n".join(map(_line_without_gaps, text.split("\n")))
    return text


def _line_without_gaps(line: str) -> str:
    if GAP not in line and BLOCK not in line:
        return line
    line = _AFTER_SENTENCE.sub(_after_sentence, _AT_LINE_START.sub(_at_line_start, line))
    return line.replace(GAP, HOLE).replace(BLOCK, HOLE)


def _at_line_start(found: re.Match) -> str:
    """A box stands before the article's bold name, or has several lines; other gaps may be a sentence's first words."""
    after = found.string[found.end() : found.end() + 2]
    return "" if not after or (not found[1] and (BLOCK in found[0] or after == "''")) else found[0]


def _after_sentence(found: re.Match) -> str:
    """After a full stop and before a blank stands the mark of a footnote."""
    return found[0] if found[2] and found[3] is None else found[1]


def _item(found: re.Match) -> str:
    return "" if found[1] in _COMMAS else found[1]
