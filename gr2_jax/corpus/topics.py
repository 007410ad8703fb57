"""Queries from TREC's topic files as found in practice: tagged text, XML, or tab-separated lines.

ir_datasets has one class per format, and the caller must know which one applies. It does not name the line of a
malformed file, keeps the carriage return of a tab-separated line, requires title, description and narrative, and merges
a topic without closing tag with the next one.
"""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from gr2_jax.corpus import _files
from gr2_jax.errors import UserError

Topic = tuple[str, str, str]
"""(the place in the file, query id, text)"""

_TOP = re.compile(r"<top>", re.IGNORECASE)
_END = re.compile(r"</top>", re.IGNORECASE)
# A field lasts until the next tag at the start of a line; its own closing tag is optional.
_FIELD = re.compile(r"^[ \t]*<(\w+)>(.*?)(?=^[ \t]*</?\w+>|\Z)", re.DOTALL | re.MULTILINE)
_CLOSING = re.compile(r"</\w+>")
_LABEL = re.compile(r"(?i)^(?:number|topic|title|description|narrative|summary)\s*:")
# The query that a person would type, then the fallbacks for tracks without one.
_TEXT_FIELDS = ("title", "query", "desc", "description", "summary", "question", "content")
_ID_FIELDS = ("number", "num", "id", "qid")


def read_topics(*paths: str | Path) -> dict[str, str]:
    """Reads the queries (id -> text) of plain or gzip topic files: the title or query of each topic.

    A topic without a title gives its description. Several files may hold the same topic with the same text.

    Raises UserError, with file and line, for a file of another format, a topic without id or text, or an id with two
    different texts.
    """
    topics: dict[str, str] = {}
    for place, query, text in (topic for path in paths for topic in _topics_of(Path(path))):
        query = _files.check_id("query", query, place)
        text = _files.check_query_text(query, " ".join(text.split()), place)
        if topics.setdefault(query, text) != text:
            raise UserError(f"{place}: the query id {query!r} is used twice, with different texts")
    return topics


def _topics_of(path: Path) -> Iterator[Topic]:
    lines = list(_files.lines(path))
    if not lines:
        raise UserError(f"{path} has no topics: it is empty")
    if not lines[0][1].lstrip().startswith("<"):
        return _from_table(path, lines)
    # `lines` leaves out blank lines; restoring them keeps the line numbers right.
    text = [""] * lines[-1][0]
    for number, line in lines:
        text[number - 1] = line
    whole = "\n".join(text)
    return _from_tags(path, whole) if _TOP.search(whole) else _from_xml(path, whole)


def _from_table(path: Path, lines: list[tuple[int, str]]) -> Iterator[Topic]:
    for number, line in lines:
        place = f"{path}, line {number}"
        query, tab, text = line.partition("\t")
        if not tab:
            raise UserError(f"{place}: expected `id<TAB>text` or a topic's tag, found {_files.shown(line)}")
        yield place, query.strip(), text


def _from_tags(path: Path, text: str) -> Iterator[Topic]:
    starts = [match.end() for match in _TOP.finditer(text)]
    for start, following in zip(starts, [*starts[1:], len(text)], strict=True):
        place = f"{path}, line {text.count(chr(10), 0, start) + 1}"
        end = _END.search(text, start, following)
        body = text[start : end.start() if end else following]
        fields = {name.lower(): _LABEL.sub("", _CLOSING.sub("", value).strip()) for name, value in _FIELD.findall(body)}
        yield place, _first(fields, _ID_FIELDS).strip(), _first(fields, _TEXT_FIELDS)


def _from_xml(path: Path, text: str) -> Iterator[Topic]:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        line = error.position[0]
        raise UserError(f"{path}, line {line}: neither TREC topics with <top> nor XML ({error})") from None
    for number, element in enumerate(root, 1):
        fields = {child.tag.lower(): "".join(child.itertext()) for child in element}
        # Some tracks write the question as the topic's own text.
        written = _first(fields, _TEXT_FIELDS) or (element.text or "")
        yield f"{path}, topic {number}", _first({**fields, **element.attrib}, _ID_FIELDS).strip(), written


def _first(fields: dict[str, str], names: tuple[str, ...]) -> str:
    return next((fields[name] for name in names if fields.get(name, "").strip()), "")
