"""An article's sections: where they begin, and which headings name what, by language."""

import re
from dataclasses import dataclass
from enum import Enum

# A heading stands alone on its line. The lookahead leaves the line's end to the next heading.
_HEADING = re.compile(r"\n(={1,6})([^\n]*[^=\n][^\n]*?)\1[ \t]*(?=\n|\Z)")
_MARKUP = re.compile(r"''+|\[\[(?:[^\[\]|]*\|)?|\]\]|<[^<>]*>|:\s*$")


class Kind(Enum):
    """What a section is for."""

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
        """Returns what the heading (wikitext) names, None where it is the article's own."""
        name = " ".join(_MARKUP.sub("", heading).split()).lower()
        if name in self.see_also:
            return Kind.SEE_ALSO
        if name in self.references:
            return Kind.REFERENCES
        return Kind.OTHER if name in self.others else None


def split_sections(wikitext: str, names: SectionNames) -> list[Section]:
    """Returns the lead section and then the others in order.

    A subsection whose own heading names nothing is of its section's kind, so that a list under "See also" counts.
    """
    lead, *pieces = _HEADING.split("\n" + wikitext)
    sections = [Section(Kind.LEAD, lead)]
    kind, depth = Kind.BODY, 6
    for equals, heading, body in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
        named = names.kind(heading)
        if named or len(equals) <= depth:
            kind, depth = named or Kind.BODY, len(equals)
        sections.append(Section(kind, body))
    return sections


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
    """Returns the headings of a language, English ones where it is not in the table."""
    return _BY_LANGUAGE.get(language.split("-")[0], _BY_LANGUAGE["en"])
