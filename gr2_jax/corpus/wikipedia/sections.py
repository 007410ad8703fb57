"""Splits an article into sections and classifies them by their headings, per language."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

# A line that may be a heading. The `=` at both ends are counted afterwards: one pattern for both ends takes quadratic
# time on a long line.
_CANDIDATE = re.compile(r"\n=[^\n]*")
_DEEPEST = 6
_MARKUP = re.compile(r"''+|\[\[(?:[^\[\]|]*\|)?|\]\]|<[^<>]*>|:\s*$")


class Kind(Enum):
    """The role of a section."""

    LEAD = "lead"
    BODY = "body"
    SEE_ALSO = "see also"
    REFERENCES = "references"
    OTHER = "other"


@dataclass(frozen=True)
class Section:
    """A section's own wikitext, without its heading and its subsections."""

    kind: Kind
    wikitext: str


@dataclass(frozen=True)
class SectionNames:
    """The headings, lower-cased, of the sections that are not body text."""

    see_also: frozenset[str]
    references: frozenset[str]
    others: frozenset[str]  # external links, further reading: not part of an article's text

    def kind(self, heading: str) -> Kind | None:
        """Returns the kind that the heading (wikitext) names, None for headings outside these lists."""
        name = " ".join(_MARKUP.sub("", heading).split()).lower()
        if name in self.see_also:
            return Kind.SEE_ALSO
        if name in self.references:
            return Kind.REFERENCES
        return Kind.OTHER if name in self.others else None


def split_sections(wikitext: str, names: SectionNames) -> list[Section]:
    """Returns the lead section, then the others in order.

    A subsection whose heading names no kind has the kind of its section: a list in a subsection of "See also" counts.
    """
    text = "\n" + wikitext
    headings = list(_headings(text))
    ends = [*(heading.start for heading in headings), len(text)]
    sections = [Section(Kind.LEAD, text[: ends[0]])]
    kind, depth = Kind.BODY, _DEEPEST
    for heading, end in zip(headings, ends[1:], strict=True):
        named = names.kind(heading.name)
        if named or heading.level <= depth:
            kind, depth = named or Kind.BODY, heading.level
        sections.append(Section(kind, text[heading.end : end]))
    return sections


class _Heading(NamedTuple):
    level: int
    name: str
    start: int  # of the line feed before it
    end: int  # before the line feed after it


def _headings(text: str) -> Iterator[_Heading]:
    """Yields the lines with text between `=` at both ends. The shorter run of `=` is the level; the name keeps the rest
    of the longer one."""
    for found in _CANDIDATE.finditer(text):
        line = found[0][1:].rstrip(" \t\r")
        length, after_first, before_last = len(line), len(line.lstrip("=")), len(line.rstrip("="))
        level = min(length - max(after_first, before_last), _DEEPEST)
        if level and after_first:
            yield _Heading(level, line[level:-level], found.start(), found.end())


def _names(see_also: str, references: str, others: str) -> SectionNames:
    return SectionNames(*(frozenset(names.split(", ")) for names in (see_also, references, others)))


_BY_LANGUAGE = {
    "en": _names(
        "see also, related pages, related articles",
        "references, notes, footnotes, citations, notes and references, references and notes, sources, endnotes, "
        "notes and citations, citations and notes, references and sources, sources and references, reference, "
        "works cited, literature cited",
        "external links, external link, further reading, bibliography, other websites, external links and references",
    ),
    "de": _names(
        "siehe auch",
        "einzelnachweise, anmerkungen, quellen, fußnoten, belege, nachweise, referenzen, "
        "anmerkungen und einzelnachweise, einzelnachweise und anmerkungen, quellen und einzelnachweise",
        "weblinks, literatur, weiterführende literatur",
    ),
    "fr": _names(
        "voir aussi, articles connexes, article connexe, à voir aussi",
        "références, notes et références, notes, sources, notes et sources, références et notes, note et référence",
        "liens externes, lien externe, bibliographie, annexes, lectures complémentaires",
    ),
    "es": _names(
        "véase también, vease también, véase tambien, ver también",
        "referencias, notas, notas y referencias, referencias y notas, fuentes, notas al pie, citas",
        "enlaces externos, bibliografía, lecturas adicionales, lectura adicional, anexos",
    ),
    "it": _names("voci correlate", "note, riferimenti, fonti", "collegamenti esterni, bibliografia, altri progetti"),
    "pt": _names(
        "ver também, veja também, artigos relacionados",
        "referências, notas, notas e referências, referências e notas, fontes",
        "ligações externas, bibliografia, leitura adicional, ligação externa",
    ),
    "nl": _names(
        "zie ook", "referenties, bronnen, noten, bronvermelding, voetnoten", "externe links, literatuur, externe link"
    ),
    "sv": _names("se även", "referenser, källor, noter, fotnoter", "externa länkar, litteratur, vidare läsning"),
    "pl": _names("zobacz też", "przypisy, uwagi, źródła", "linki zewnętrzne, bibliografia"),
    "ru": _names("см. также", "примечания, источники, сноски", "ссылки, литература"),
}


def section_names(language: str) -> SectionNames:
    """Returns the headings of a language, or the English ones if it is not in the table."""
    return _BY_LANGUAGE.get(language.split("-")[0], _BY_LANGUAGE["en"])
