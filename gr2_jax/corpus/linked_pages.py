"""A folder of Markdown or HTML files with graded queries, made of its sections and links, as Wikipedia's pairs are.

Grade 4 is the page itself, 3 the pages of its "See also" section, 2 those that its first section links to, 1 those that
other sections link to; a page that is linked at two grades has the higher one. The first section ends at the first
heading below the page's own.
"""

import contextlib
import itertools
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gr2_jax.corpus.collection import CollectionStream, Document
from gr2_jax.corpus.sentences import is_complete, paragraphs, sentences, word_count
from gr2_jax.corpus.text_folder import FRONT_MATTER, MARKED, PAGES, id_of_file, text_files
from gr2_jax.corpus.wikipedia.pairs import ELSEWHERE, ITSELF, LEAD, SEE_ALSO, Order

Link = tuple[int, str]  # its grade, and its target as written

_LEADING, _SHORTEST, _LONGEST = 3, 4, 40  # paragraphs that lend sentences, and words of one
_SEE_ALSO = re.compile(r"(?i)\W*(?:see also|related|further reading|next steps?|what's next)\b")
_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_FENCE = re.compile(r"\s*(```|~~~)(?!.*\1)")  # code in one line begins no block
_INLINE = re.compile(r"(?<!!)\[[^\[\]]{0,500}\]\(\s*<?([^)\s>]+)")  # bounded, so that no line takes long
_BY_NAME = re.compile(r"(?<!!)\[([^\[\]]{1,500})\]\[([^\[\]]{0,500})\]")
_NAMED = re.compile(r"\s{0,3}\[([^\]]+)\]:\s*<?([^\s>]+)")
_MARKUP = (
    (re.compile(r"!\[[^\[\]]{0,500}\]\([^()]{0,2000}\)"), ""),
    (re.compile(r"\[([^\[\]]{0,500})\](?:\([^()]{0,2000}\)|\[[^\[\]]{0,500}\])"), r"\1"),
    (re.compile(r"(?m)^\s*(?:#{1,6}\s|>|[-*+]\s|\d+[.)]\s)"), ""),
    (re.compile(r"[`*]+"), ""),
)
_ENDINGS = ("", ".md", ".html", "/index.md", "/README.md", "/index.html")


def ask_linked_pages(stream: CollectionStream, directory: Path, *, seed: int) -> CollectionStream:
    """Returns the documents of a text folder with a query for each Markdown or HTML file, by its sections and links.

    The query is a sentence of 4 to 40 words from the page's first three paragraphs that have one, by the smallest keyed
    hash, or else its title. It stays in the text, as Wikipedia's does. A folder without such files has no query.
    """
    places = {path.relative_to(directory).as_posix(): path for path in text_files(directory)}
    ids = {place: id_of_file(Path(place)) for place in places}
    queries, qrels = {}, {}
    by_id = {ids[place]: place for place in places}
    for document in stream.documents():
        place = by_id.get(document.doc_id, "")  # a record of a file of records has none
        ending = posixpath.splitext(place)[1].lower()
        if ending not in PAGES | MARKED:
            continue
        text = places[place].read_bytes().decode("utf-8-sig", "replace")
        links = _links_of_page(text) if ending in PAGES else _links_of_markdown(text)
        query = f"q:{document.doc_id}"
        queries[query] = _query_of(document, Order(seed, "query", document.doc_id), marked=ending in MARKED)
        qrels[query] = _grades(document.doc_id, links, lambda target, place=place: _resolve(target, place, ids))
    about = {
        "queries": "a sentence of each page; 4 itself, 3 See also, 2 linked in its first section, 1 linked elsewhere"
    }
    return replace(stream, queries=queries, qrels=qrels, provenance=stream.provenance | about)


def _query_of(document: Document, order: Order, *, marked: bool) -> str:
    blocks = paragraphs(document.text)
    lent = map(_lent, map(_without_markup, blocks) if marked else blocks)
    leading = itertools.islice(filter(None, lent), _LEADING)  # a page may begin with a menu
    return min(itertools.chain.from_iterable(leading), key=order, default=document.title)


def _lent(block: str) -> list[str]:
    found = sentences(block)
    return [sentence for sentence in found if is_complete(sentence) and _SHORTEST <= word_count(sentence) <= _LONGEST]


def _without_markup(text: str) -> str:
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return text


def _grades(doc_id: str, links: Iterable[Link], resolve: Callable[[str], str | None]) -> dict[str, int]:
    grades: dict[str, int] = {}
    for grade, target in links:
        linked = resolve(target)
        if linked is not None:
            grades[linked] = max(grade, grades.get(linked, 0))
    return grades | {doc_id: ITSELF}


def _resolve(target: str, place: str, ids: Mapping[str, str]) -> str | None:
    """The id of the file that a link in the file `place` leads to; None for another site or no file of the folder. A
    link from the root (`/guide`) is one from the folder."""
    try:
        parts = urlsplit(target)
    except ValueError:  # brackets that are no address
        return None
    path = unquote(parts.path)
    if parts.scheme or parts.netloc or not path:
        return None
    folder = "" if path.startswith("/") else posixpath.dirname(place)
    path = posixpath.normpath(posixpath.join(folder, path.lstrip("/")))
    names = (posixpath.normpath(f"{path}{ending}") for ending in _ENDINGS)
    return next((ids[name] for name in names if name in ids), None)


class _Sections:
    """The grade of a link, by the headings above it."""

    def __init__(self):
        self._headings, self.grade, self._see_also = 0, LEAD, 0

    def begin(self, level: int, heading: str) -> None:
        self._headings += 1
        if _SEE_ALSO.match(heading):
            self.grade, self._see_also = SEE_ALSO, level
        elif self.grade == SEE_ALSO and level > self._see_also:
            pass  # a part of it
        elif level > 1 or self._headings > 1:  # the first of level 1 is the page's own
            self.grade = ELSEWHERE


def _links_of_markdown(text: str) -> Iterator[Link]:
    lines = FRONT_MATTER.sub("", text).splitlines()
    named = {match[1].lower(): match[2] for line in lines if (match := _NAMED.match(line))}
    sections, fence = _Sections(), ""
    for line in lines:
        if mark := _FENCE.match(line):
            fence = "" if fence == mark[1] else fence or mark[1]
        elif not fence:
            if heading := _HEADING.match(line):
                sections.begin(len(heading[1]), heading[2])
            for match in _INLINE.finditer(line):
                yield sections.grade, match[1]
            for match in _BY_NAME.finditer(line):
                if target := named.get((match[2] or match[1]).lower()):
                    yield sections.grade, target


def _links_of_page(text: str) -> list[Link]:
    parser = _Page()
    with contextlib.suppress(AssertionError):  # html.parser, of a declaration that is none
        parser.feed(text)
        parser.close()
    return parser.links


class _Page(HTMLParser):
    """Links of a page's text; those of menus, headers and footers are the site's and not the page's."""

    _ASIDE = frozenset({"nav", "header", "footer", "script", "style"})

    def __init__(self):
        super().__init__()
        self.links: list[Link] = []
        self._sections, self._aside, self._level, self._heading = _Sections(), 0, 0, ""

    def handle_starttag(self, tag, attributes):
        if tag in self._ASIDE:
            self._aside += 1
        elif re.fullmatch("h[1-6]", tag):
            self._level, self._heading = int(tag[1]), ""
        elif tag == "a" and not self._aside and (target := dict(attributes).get("href")):
            self.links.append((self._sections.grade, target))

    def handle_data(self, data):
        self._heading += data if self._level else ""

    def handle_endtag(self, tag):
        if tag in self._ASIDE:
            self._aside = max(0, self._aside - 1)
        elif self._level and tag == f"h{self._level}":
            if not self._aside:
                self._sections.begin(self._level, self._heading)
            self._level = 0
