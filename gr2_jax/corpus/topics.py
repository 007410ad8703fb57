"""Queries from TREC's topic files as found in practice: tagged text, XML, or tab-separated lines.

ir_datasets has one class per format, and the caller must know which one applies. It does not name the line of a
malformed file, keeps the carriage return of a tab-separated line, requires title, description and narrative, and merges
a topic without closing tag with the next one.
"""

import codecs
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path

from gr2_jax.corpus import _files
from gr2_jax.corpus._topic_tags import TaggedTopic, tagged_topics
from gr2_jax.errors import UserError
from gr2_jax.progress import say

Topic = tuple[str, str, str]
"""(the place in the file, query id, text)"""

# The query that a person would type, then the fallbacks for tracks without one.
_TEXT_FIELDS = ("title", "query", "desc", "description", "summary", "question", "content")
_ID_FIELDS = ("number", "num", "id", "qid")
_OTHER_FIELDS = ("head", "dom", "smry", "narr", "narrative", "con", "fac", "def", "nat", "time")
_FIELDS = frozenset((*_TEXT_FIELDS, *_ID_FIELDS, *_OTHER_FIELDS))
_DECLARED = re.compile(rb"\s*<\?xml\s[^<>]*?\bencoding\s*=\s*[\"']([\w.:-]+)[\"']")


def read_topics(*paths: str | Path) -> dict[str, str]:
    """Reads the queries (id -> text) of plain or gzip topic files: the title or query of each topic.

    A topic without a title gives its description. Several files may hold the same topic with the same text. A file that
    is not UTF-8 is read in the encoding that its XML declares, else as Latin-1 (Windows-1252, which extends it); a line
    on stderr says so.

    Raises UserError, with file and line, for a file of another format or encoding, a topic without id or text, or an id
    with two different texts.
    """
    topics: dict[str, str] = {}
    for place, query, text in (topic for path in paths for topic in _topics_of(Path(path))):
        query = _files.check_id("query", query, place)
        if "<" in query:
            raise UserError(f"{place}: the query id {query!r} holds '<': a tag is not closed with '>'")
        text = _files.check_query_text(query, " ".join(text.split()), place)
        if topics.setdefault(query, text) != text:
            raise UserError(f"{place}: the query id {query!r} is used twice, with different texts")
    return topics


def _topics_of(path: Path) -> Iterator[Topic]:
    text = _text_of(path)
    if not text.strip():
        raise UserError(f"{path} has no topics: it is empty")
    if not text.lstrip().startswith("<"):
        return _from_table(path, text.split("\n"))
    topics = list(tagged_topics(text, _FIELDS))
    return _from_tags(path, topics) if topics else _from_xml(path, text)


def _text_of(path: Path) -> str:
    """The text of the file with LF line ends, without blank lines at its end."""
    content = _files.contents(path).removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode()
    except UnicodeDecodeError as fault:
        text = _in_another_encoding(path, content, fault)
    return text.replace("\r\n", "\n").rstrip("\n")


def _in_another_encoding(path: Path, content: bytes, fault: UnicodeDecodeError) -> str:
    declared = _DECLARED.match(content)
    name = declared[1].decode() if declared else "Latin-1"
    try:
        text = content.decode(name if declared else "cp1252")
    except (LookupError, ValueError):
        text = None
    if text is None or "\0" in text:  # NUL: UTF-16, or no text at all
        before = content[: fault.start].split(b"\n")
        place = f"{path}, line {len(before)}"
        raise UserError(f"{place}: not UTF-8 text ({fault.reason} at byte {len(before[-1])}), nor {name}")
    say(f"gr2: {path} is not UTF-8 text: read as {name}")
    return text


def _from_table(path: Path, lines: Sequence[str]) -> Iterator[Topic]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        query, tab, text = line.partition("\t")
        if not tab:
            raise UserError(f"{place}: expected `id<TAB>text` or a topic's tag, found {_files.shown(line)}")
        yield place, query.strip(), text


def _from_tags(path: Path, topics: Sequence[TaggedTopic]) -> Iterator[Topic]:
    for topic in topics:
        query = _first({**topic.fields, **topic.attributes}, _ID_FIELDS).strip()
        yield f"{path}, line {topic.line}", query, _first(topic.fields, _TEXT_FIELDS) or topic.text


def _from_xml(path: Path, text: str) -> Iterator[Topic]:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        line = error.position[0]
        raise UserError(f"{path}, line {line}: neither TREC topics with <top> nor XML ({error})") from None
    for number, element in enumerate(root, 1):
        fields = {child.tag.rpartition("}")[2].lower(): "".join(child.itertext()) for child in element}
        # Some tracks write the question as the topic's own text.
        written = _first(fields, _TEXT_FIELDS) or (element.text or "")
        yield f"{path}, topic {number}", _first({**fields, **element.attrib}, _ID_FIELDS).strip(), written


def _first(fields: dict[str, str], names: tuple[str, ...]) -> str:
    return next((fields[name] for name in names if fields.get(name, "").strip()), "")
