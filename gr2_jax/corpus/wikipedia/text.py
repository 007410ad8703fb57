"""Converts wikitext to plain text: paragraphs, and the sentences that can serve as queries."""

import re
from collections.abc import Iterator

from gr2_jax.corpus.sentences import HOLE, is_complete, sentences, word_count
from gr2_jax.corpus.wikipedia.entities import decode_entities
from gr2_jax.corpus.wikipedia.link_text import without_links
from gr2_jax.corpus.wikipedia.quotes import without_quotes
from gr2_jax.corpus.wikipedia.site import Site
from gr2_jax.corpus.wikipedia.standins import VERBATIM, shown, shown_but_brackets
from gr2_jax.corpus.wikipedia.tables import without_tables
from gr2_jax.corpus.wikipedia.templates import expand_templates

SENTENCE_WORDS = (5, 60)  # shorter ones say too little; longer ones are really lists or sentences not separated

_BLOCKS = re.compile(
    r"<(gallery|imagemap|references)\b[^<>]*(?:(?<=/)>|>[^<]*(?:<(?!/?\1\b)[^<]*)*</\1\s*>)", re.IGNORECASE
)
_EXTERNAL = re.compile(r"\[(?:(?:https?:|ftp:)?//|mailto:)[^\s\[\]]*+[ \t]*+([^\[\]\n]*+)\]")
_TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*+)(?![^\s/>])[^<>]*>")
# Tags of MediaWiki's wikitext, by what they leave in the text; any others are text.
_PARAGRAPHS = "blockquote center div dl h1 h2 h3 h4 h5 h6 ol p poem ul"
_INLINE = """abbr b bdi bdo big caption ce chem cite code data del dfn em font gallery graph hiero i imagemap
includeonly indicator inputbox ins kbd link mapframe maplink mark math meta nowiki phonos pre q rb ref references rp rt
rtc ruby s samp score section small source span strike strong sub sup syntaxhighlight table td templatestyles th time
timeline tr tt u var wbr"""
_TAGS = {
    **dict.fromkeys(("br", "hr"), " "),
    **dict.fromkeys(("li", "dt", "dd"), "\n*"),
    **dict.fromkeys(_PARAGRAPHS.split(), "\n\n"),
    **dict.fromkeys(_INLINE.split(), ""),
}
# not possessive around the group: before Python 3.11.5 re then gives up matches (gh-106052)
_SWITCH = re.compile(r"__([^\W\d_]++(?:_[^\W\d_]++)*)__")
# What a removed template leaves behind: "( , ; 1900)", "()", "word ," and several blanks.
_AFTER_OPEN = re.compile(r"\([\s,;:\u2013/]+")
_BEFORE_CLOSE = re.compile(r"(?<![\s,;:])[\s,;:]++\)")
_EMPTY = re.compile(r"\((?:or|and|also)?\)")
_EMPTY_WIDE = re.compile(r"\uff08[\s\u3001\uff0c\uff1a\uff1b]*+\uff09")
_BEFORE_MARK = re.compile(r"[^\S\n]+(?=[,.;:](?:\s|$))", re.MULTILINE)
_SPACES = re.compile(r"[^\S\n]{2,}|[^\S\n ]")
_LEFTOVER = re.compile(rf"\[\[|\]\]|\{{\{{|\}}\}}|\{{\||\|\}}|https?://|[|{HOLE}{VERBATIM}]")
_MARKERS = "*#:;|!{}"


def clean(wikitext: str, site: Site) -> str:
    """Returns the prose of wikitext from `without_hidden` that has no references; list markers (`*#:;`) are kept.

    Characters of `<nowiki>` that would be markup elsewhere are stand-ins until the last step.
    """
    text = _BLOCKS.sub("", wikitext) if "<" in wikitext else wikitext
    text = without_tables(expand_templates(text, site.language))
    text = without_links(text, site)
    if "[" in text:
        text = _EXTERNAL.sub(r"\1", text)
    text = without_quotes(text)
    if "<" in text:
        text = _TAG.sub(lambda tag: _TAGS.get(tag[1].lower(), tag[0]), text)
    if "__" in text:
        text = _SWITCH.sub(lambda switch: "" if switch[1] == switch[1].upper() else switch[0], text)
    return _tidy(decode_entities(text))


def _tidy(text: str) -> str:
    """Closes the gaps that removed templates leave. Searching for fixed strings first saves most of the time."""
    if "(" in text:
        text = _AFTER_OPEN.sub("(", text)
        if any(gap in text for gap in (" )", ",)", ";)", ":)", "\n)")):
            text = _BEFORE_CLOSE.sub(")", text)
        text = _EMPTY.sub("", text)
    if "\uff08" in text:
        text = _EMPTY_WIDE.sub("", text)
    text = _SPACES.sub(" ", text)
    if any(gap in text for gap in (" ,", " .", " ;", " :")):
        text = _BEFORE_MARK.sub("", text)
    return text


def paragraph_lines(cleaned: str, *, lists: bool) -> Iterator[list[str]]:
    """Yields the lines of each paragraph, without indented lines (notes above the text) and remains of tables.

    Each list item is a line without its marker, and so is each line of `<pre>`; both are left out if `lists` is False.
    """
    for block in cleaned.split("\n\n"):
        lines = []
        for line in block.split("\n"):
            stripped = line.strip()
            if not stripped:
                continue
            if stripped[0] == VERBATIM:
                lines += [stripped[1:]] * lists
            elif stripped[0] not in _MARKERS:
                lines.append(stripped)
            elif lists and stripped[0] in "*#;":
                lines.append(stripped.lstrip("*#:; "))
        if any(line.strip(HOLE + " ") for line in lines):
            yield lines


def usable_sentences(cleaned: str, language: str) -> tuple[str, ...]:
    """Returns the sentences that can be a query: complete, of SENTENCE_WORDS words, without markup or HOLE."""
    prose = "\n\n".join("\n".join(lines) for lines in paragraph_lines(cleaned, lists=False))
    found = sentences(shown_but_brackets(prose), language)
    return tuple(shown(sentence) for sentence in found if _is_usable(sentence))


def _is_usable(sentence: str) -> bool:
    few, many = SENTENCE_WORDS
    return few <= word_count(sentence) <= many and is_complete(sentence) and not _LEFTOVER.search(sentence)


def plain_paragraphs(cleaned: str) -> str:
    """Returns the text with list items on their own lines and blank lines between paragraphs.

    HOLE marks what the text lacks, so that no sentence with a hole becomes a query later.
    """
    return shown("\n\n".join("\n".join(lines) for lines in paragraph_lines(cleaned, lists=True)))
