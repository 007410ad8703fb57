"""TREC's tagged topics, `<top> ... </top>`: SGML by habit, whose tags are closed or not and stand anywhere on a line.

Every function passes over its text once: topic files have tens of thousands of topics.
"""

import html
import re
from collections.abc import Callable, Iterator, Set
from typing import NamedTuple

_TAG = re.compile(r"<(/?)([A-Za-z][\w.:-]*)(\s[^<>]*|/)?>")
_ATTRIBUTE = re.compile(r"(?<![\w.:-])([\w.:-]++)\s*+=\s*+(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'/]+))")
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_REFERENCE = re.compile(r"&(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});")
_LABEL = re.compile(r"(?i)^(?:number|topic|title|description|narrative|summary)\s*:")


class TaggedTopic(NamedTuple):
    """`line`: of its `<top>`, from 1. `text`: before its first field. Names of fields and attributes are lower-case."""

    line: int
    attributes: dict[str, str]
    text: str
    fields: dict[str, str]


class _Tag(NamedTuple):
    """An opening or closing tag. `leads`: it is the first of its line; `attributes`: as they stand."""

    name: str
    closes: bool
    leads: bool
    start: int
    end: int
    attributes: str


def tagged_topics(text: str, names: Set[str]) -> Iterator[TaggedTopic]:
    """Yields the topics; nothing for a text without a tag `<top>`.

    A tag of one of `names` begins a field wherever it stands. The field ends at its own closing tag, if that comes
    before the next field of `names`; else where the next begins, for which any tag at the start of a line is taken.
    Other tags are mark-up and are left out. A topic ends at `</top>` or where the next begins. Of several fields of one
    name the first with a text counts.
    """
    text = _without_asides(text)
    line, counted = 1, 0
    top, inside = None, []
    for tag in _tags(text):
        if tag.name != "top":
            inside.append(tag)
            continue
        if top is not None:
            yield _topic(text, line, top, inside, tag.start, names)
        top, inside = None if tag.closes else tag, []
        line, counted = line + text.count("\n", counted, tag.start), tag.start
    if top is not None:
        yield _topic(text, line, top, inside, len(text), names)


def _tags(text: str) -> Iterator[_Tag]:
    """Yields all tags but those that open and close at once, such as `<br/>`."""
    before = 0  # the end of the tag before this one
    for found in _TAG.finditer(text):
        start, attributes = found.start(), found[3] or ""
        line = text.rfind("\n", before, start)
        leads = (line >= 0 or before == 0) and not text[max(line, before) : start].strip()
        before = found.end()
        if not attributes.endswith("/"):
            yield _Tag(found[2].lower(), bool(found[1]), leads, start, before, attributes)


def _topic(text: str, line: int, top: _Tag, tags: list[_Tag], end: int, names: Set[str]) -> TaggedTopic:
    closing: dict[str, int] = {}
    named = following = end  # where the next field of `names`, and of any name, begins
    spans: list[tuple[str, int, int]] = []
    for tag in reversed(tags):
        if tag.closes:
            closing[tag.name] = tag.start
        elif tag.name in names:
            own = closing.get(tag.name, end + 1)
            spans.append((tag.name, tag.end, own if own <= named else following))
            named = following = tag.start
        elif tag.leads:
            following = tag.start
    fields: dict[str, str] = {}
    for name, start, stop in reversed(spans):
        fields[name] = fields.get(name) or _plain(text[start:stop])
    attributes = {name.lower(): _decoded("".join(value)) for name, *value in _ATTRIBUTE.findall(top.attributes)}
    return TaggedTopic(line, attributes, _plain(text[top.end : following]), fields)


def _plain(value: str) -> str:
    return _decoded(_LABEL.sub("", _TAG.sub("", value).strip()).strip())


def _decoded(value: str) -> str:
    return _REFERENCE.sub(lambda found: html.unescape(found[0]), value)


def _without_asides(text: str) -> str:
    """The text without comments, lines kept, and with XML's CDATA sections written as plain text."""
    text = _closed(_CDATA, "]]>", lambda found: html.escape(found[1], quote=False), text)
    return _closed(_COMMENT, "-->", lambda found: "\n" * found[0].count("\n"), text)


def _closed(pattern: re.Pattern[str], end: str, replacement: Callable[[re.Match[str]], str], text: str) -> str:
    """Replaces what the pattern finds up to the last `end`: beyond it, each opening would be sought an end in vain."""
    last = text.rfind(end) + len(end)
    return pattern.sub(replacement, text[:last]) + text[last:] if last >= len(end) else text
