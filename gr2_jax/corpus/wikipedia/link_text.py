"""Replaces links by the text that they show, from the inside out, since captions contain links."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from gr2_jax.corpus.wikipedia.site import CATEGORY, FILE, INTERWIKI, LANGUAGES, Site
from gr2_jax.corpus.wikipedia.standins import EDGE

_INNERMOST = re.compile(r"\[\[([^\[\]|]*+)(?:(\|)([^\[\]]*+))?\]\]")
_EDGE = re.compile(r"\[{2,}|\]{2,}|\|")
_LONGEST = 512  # characters, and pieces, of a target; MediaWiki allows titles of 255 bytes


def without_links(text: str, site: Site) -> str:
    """Returns the text with each link's anchor, or its target if it has none, between EDGEs; pictures and categories
    show nothing.

    Nearly all links hold no bracket, and one search finds those. A pass with a stack reads what is left. It never
    copies the text of nested links, so that the work is linear however deep they are.
    """
    if "[[" in text:
        text = _INNERMOST.sub(lambda link: _shown(link[1], link[2], link[3], site), text)
    return _without_nested(text, site) if "[[" in text else text


def _without_nested(text: str, site: Site) -> str:
    shown, at = _Shown(site), 0
    for edge in _EDGE.finditer(text):
        shown.add(text[at : edge.start()])
        at, count = edge.end(), len(edge[0])
        if edge[0] == "|":
            shown.add_bar()
        elif edge[0][0] == "[":
            shown.add("[" * (count % 2))
            for _ in range(count // 2):
                shown.open()
        else:
            for _ in range(count // 2):
                shown.close()
            shown.add("]" * (count % 2))
    shown.add(text[at:])
    return "".join(shown.pieces)


def _shown(target: str, bar: str | None, anchor: str | None, site: Site) -> str:
    """Returns what a link shows, between EDGEs."""
    if _is_off_text(target, bar is not None, site):
        return ""
    return f"{EDGE}{anchor or target.lstrip(':')}{EDGE}"


class _Place(NamedTuple):
    piece: int
    character: int


@dataclass
class _Shown:
    """The text so far, in pieces; those of an open link begin with its `[[`."""

    site: Site
    pieces: list[str] = field(default_factory=list)
    characters: int = 0
    opened: list[_Place] = field(default_factory=list)
    bars: list[_Place | None] = field(default_factory=list)  # of each open link, its first `|`

    def add(self, piece: str) -> None:
        if piece:
            self.pieces.append(piece)
            self.characters += len(piece)

    def open(self) -> None:
        self.opened.append(self._end())
        self.bars.append(None)
        self.add("[[")

    def add_bar(self) -> None:
        if self.bars and self.bars[-1] is None:
            self.bars[-1] = self._end()
        self.add("|")

    def close(self) -> None:
        if not self.opened:
            self.add("]]")
            return
        start, bar, end = self.opened.pop(), self.bars.pop(), self._end()
        target_end = bar or end
        if max(target_end.piece - start.piece, target_end.character - start.character) > _LONGEST:
            self._hide(start, 1)  # too long for a title: what is in the brackets is text
            return
        target = "".join(self.pieces[start.piece + 1 : target_end.piece])
        if "[" in target or "]" in target:
            self.add("]]")
            return
        has_anchor = bar is not None and end.piece > bar.piece + 1
        if _is_off_text(target, bar is not None, self.site):
            self._cut(start)
        elif has_anchor:
            self._hide(start, bar.piece + 1 - start.piece)
            self._replace(start.piece, EDGE)
            self.add(EDGE)
        else:
            self._cut(start)
            self.add(_shown(target, None, None, self.site))

    def _end(self) -> _Place:
        return _Place(len(self.pieces), self.characters)

    def _cut(self, start: _Place) -> None:
        del self.pieces[start.piece :]
        self.characters = start.character

    def _replace(self, place: int, piece: str) -> None:
        self.characters += len(piece) - len(self.pieces[place])
        self.pieces[place] = piece

    def _hide(self, start: _Place, count: int) -> None:
        for place in range(start.piece, start.piece + count):
            self._replace(place, "")


def _is_off_text(target: str, has_bar: bool, site: Site) -> bool:
    """Whether a link shows nothing in the text: pictures, categories, the same article in another language."""
    if ":" not in target or target.startswith(":"):
        return False
    namespace = site.normalise(target)[0]
    language = namespace == INTERWIKI and target.partition(":")[0].strip().lower() in LANGUAGES
    return namespace in (FILE, CATEGORY) or (language and not has_bar)
