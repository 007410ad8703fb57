"""Converts wikitext to plain text: paragraphs, and the sentences that can serve as queries."""

import re
from collections.abc import Iterator
from html import unescape

from gr2_jax.corpus.sentences import sentences
from gr2_jax.corpus.wikipedia.links import HOLE
from gr2_jax.corpus.wikipedia.site import CATEGORY, FILE, INTERWIKI, LANGUAGES, Site
from gr2_jax.corpus.wikipedia.templates import expand_templates

SENTENCE_WORDS = (5, 60)  # shorter ones say too little; longer ones are really lists or sentences not separated

_BLOCKS = re.compile(
    r"<(gallery|imagemap|references)\b[^<>]*(?:(?<=/)>|>[^<]*(?:<(?!/?\1\b)[^<]*)*</\1\s*>)", re.IGNORECASE
)
_TABLE_EDGE = re.compile(r"^[ \t:*#]*(\{\||\|\})", re.MULTILINE)
_LINK = re.compile(r"\[\[([^\[\]|]*)((?:\|[^\[\]]*(?:(?:\[(?!\[)|\](?!\]))[^\[\]]*)*)?)\]\]")
_EXTERNAL = re.compile(r"\[(?:https?:|ftp:|mailto:)?//[^\s\[\]]*[ \t]*([^\[\]\n]*)\]")
_BREAK = re.compile(r"<(?:br|hr)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_QUOTES = re.compile(r"''+")
_SWITCH = re.compile(r"__[A-Z]+__")
# What a removed template leaves behind: "( , ; 1900)", "()", "word ," and several blanks.
_AFTER_OPEN = re.compile(r"\([\s,;:\u2013/]+")
_BEFORE_CLOSE = re.compile(r"[\s,;:]+\)")
_EMPTY = re.compile(r"\((?:or|and|also)?\)")
_BEFORE_MARK = re.compile(r"[^\S\n]+(?=[,.;:](?:\s|$))", re.MULTILINE)
_SPACES = re.compile(r"[^\S\n]{2,}|[^\S\n ]")
_LEFTOVER = re.compile(r"\[\[|\]\]|\{\{|\}\}|\{\||\|\}|https?://|[|\ufffc]")
_END = re.compile(r"[.!?][\"'\u2019\u201d»)\]]*\Z")
_MARKERS = "*#:;|!{}"


def clean(wikitext: str, site: Site) -> str:
    """Returns the prose of wikitext that has neither comments nor references; list markers (`*#:;`) are kept."""
    text = _BLOCKS.sub("", wikitext) if "<" in wikitext else wikitext
    text = expand_templates(text)
    if "{|" in text:
        text = _without_tables(text)
    text = _unlink(text, site)
    if "[" in text:
        text = _EXTERNAL.sub(r"\1", text)
    text = _QUOTES.sub("", text)
    if "<" in text:
        text = _TAG.sub("", _BREAK.sub(" ", text))
    if "__" in text:
        text = _SWITCH.sub("", text)
    if "&" in text:
        text = unescape(text)
    return _tidy(text)


def _tidy(text: str) -> str:
    """Closes the gaps that removed templates leave. Searching for fixed strings first saves most of the time."""
    if "(" in text:
        text = _AFTER_OPEN.sub("(", text)
        if any(gap in text for gap in (" )", ",)", ";)", ":)", "\n)")):
            text = _BEFORE_CLOSE.sub(")", text)
        text = _EMPTY.sub("", text)
    text = _SPACES.sub(" ", text)
    if any(gap in text for gap in (" ,", " .", " ;", " :")):
        text = _BEFORE_MARK.sub("", text)
    return text


def _without_tables(text: str) -> str:
    kept, depth, at = [], 0, 0
    for edge in _TABLE_EDGE.finditer(text):
        if edge[1] == "{|":
            if depth == 0:
                kept.append(text[at : edge.start()])
            depth += 1
        elif depth:
            depth -= 1
            at = edge.end()
    return "".join(kept) + text[at:] if depth == 0 else "".join(kept)


def _unlink(text: str, site: Site) -> str:
    """Replaces links by their visible text, from the inside out, since captions contain links."""

    def shown(match: re.Match) -> str:
        target, anchor = match[1], match[2]
        if ":" in target and not target.startswith(":") and _is_off_text(target, bool(anchor), site):
            return ""
        return anchor[1:] if len(anchor) > 1 else target.lstrip(":")

    changed = "[[" in text
    while changed:
        text, changed = _LINK.subn(shown, text)
    return text


def _is_off_text(target: str, has_anchor: bool, site: Site) -> bool:
    """Whether a link shows nothing in the text: pictures, categories, the same article in another language."""
    namespace = site.normalise(target)[0]
    language = namespace == INTERWIKI and target.partition(":")[0].strip().lower() in LANGUAGES
    return namespace in (FILE, CATEGORY) or (language and not has_anchor)


def paragraph_lines(cleaned: str, *, lists: bool) -> Iterator[list[str]]:
    """Yields the lines of each paragraph, without indented lines (notes above the text) and remains of tables.

    Each list item is a line without its marker; list items are left out if `lists` is False.
    """
    for block in cleaned.split("\n\n"):
        lines = []
        for line in block.split("\n"):
            stripped = line.strip()
            if not stripped:
                continue
            if stripped[0] not in _MARKERS:
                lines.append(stripped)
            elif lists and stripped[0] in "*#;":
                lines.append(stripped.lstrip("*#:; "))
        if lines:
            yield lines


def usable_sentences(cleaned: str) -> tuple[str, ...]:
    """Returns the sentences that can be a query: complete, of SENTENCE_WORDS words, without markup or HOLE."""
    prose = "\n\n".join("\n".join(lines) for lines in paragraph_lines(cleaned, lists=False))
    return tuple(sentence for sentence in sentences(prose) if _is_usable(sentence))


def _is_usable(sentence: str) -> bool:
    few, many = SENTENCE_WORDS
    return few <= sentence.count(" ") + 1 <= many and bool(_END.search(sentence)) and not _LEFTOVER.search(sentence)


def plain_paragraphs(cleaned: str) -> str:
    """Returns the text with list items on their own lines and blank lines between paragraphs."""
    return "\n\n".join("\n".join(lines) for lines in paragraph_lines(cleaned, lists=True)).replace(HOLE, "")
