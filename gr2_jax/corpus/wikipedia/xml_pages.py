"""The pages of a part of a dump."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from xml.parsers import expat

from gr2_jax.corpus.wikipedia.dump import Chunk, Opener, Part, open_binary, read_chunks
from gr2_jax.corpus.wikipedia.siteinfo import read_site
from gr2_jax.errors import UserError

# (offset of the bz2 stream in the file, offset in its decompressed bytes); (None, offset in the file) if uncompressed
Offset = tuple[int | None, int]

_LONGEST = 64 << 20  # bytes of a page; a wiki's own bound for the text of one is 2 MiB
_OPEN, _CLOSE, _END = b"<page>", b"</page>", b"</mediawiki>"
_PAGE_ID, _NAMESPACE = re.compile(r"\s*[0-9]{1,18}\s*", re.ASCII), re.compile(r"\s*-?[0-9]{1,9}\s*", re.ASCII)
_LAST = frozenset({"model", "text"})  # the last of several elements counts; for all other names, the first
_HEADER_END = re.compile(rb"(?:</siteinfo>|<mediawiki\b[^>]*>)\s*\Z")
_REDIRECT = re.compile(
    r"\s*#(?:redirect|weiterleitung|redirection|redirecci[óo]n|rinvia|doorverwijzing|redirecionamento"
    r"|перенаправление|patrz|転送|重定向)\s*+:?\s*+\[\[([^\[\]|#]*)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Page:
    """One page in its last revision."""

    page_id: int
    title: str  # with its namespace's prefix, as the dump has it
    namespace: int
    redirect: str | None  # the title of a redirect's target, without #fragment, not normalised; "" if unreadable
    model: str  # "wikitext" for articles
    text: str
    offset: Offset  # of `<page>`

    @property
    def is_article(self) -> bool:
        """Whether it is wikitext in the main namespace and no redirect (true of disambiguation pages and lists too)."""
        return self.namespace == 0 and self.redirect is None and self.model == "wikitext"


def read_pages(part: Part, *, on_warning: Callable[[str], None], open: Opener = open_binary) -> Iterator[Page]:
    """Yields the pages that the part owns, of all namespaces, including redirects.

    If the dump ends without its closing tag, all complete pages are yielded and `on_warning` gets a sentence with file
    and offset. Raises UserError, with file and offset, for broken XML, text that is not UTF-8, and damaged or truncated
    bz2.
    """
    namespace_of = partial(_namespace, part.path, open, [])
    for data, offset in _read_elements(part, on_warning, open):
        yield _parse_page(data, offset, part.path, namespace_of)


def _namespace(path: str, open: Opener, held: list, title: str) -> int:
    """Returns the namespace that a title's prefix names, for dumps without `<ns>` (before schema 0.6)."""
    if not held:
        held.append(read_site(path, open=open))
    return held[0].normalise(title)[0]


def _place(path: str, offset: Offset) -> str:
    stream, position = offset
    return f"{path}, byte {position}" + ("" if stream is None else f" of the bz2 stream that begins at byte {stream}")


def _read_elements(part: Part, on_warning: Callable[[str], None], open: Opener) -> Iterator[tuple[bytes, Offset]]:
    """Yields each `<page>...</page>` that begins in the part, with its offset; checks the bytes between pages."""
    rest, origin = b"", None  # the bytes not yielded yet, and their offset
    owned = 0  # the first bytes of `rest`, up to this number, are the part's own: a page may begin there
    check = _check_first_gap if part.start else _check_header
    for chunk in read_chunks(part, open=open):
        if not chunk.owned and not _begins_page(rest, owned):
            if check is _check_gap:
                check(rest[:owned], _place(part.path, origin))
            return
        buffer, seam, at = rest + chunk.data, len(rest), 0
        where = partial(_where, origin if rest else (chunk.stream, chunk.position), seam, chunk)
        for start, stop in _find_pages(buffer, seam):
            if start >= owned and not chunk.owned:
                return
            check(buffer[at:start], _place(part.path, where(at)))
            check, at = _check_gap, stop
            yield buffer[start:stop], where(start)
        if at and not chunk.owned:
            return
        rest, origin = buffer[at:], where(at)
        if len(rest) > _LONGEST:
            raise UserError(
                f"{_place(part.path, origin)}: a page of more than {_LONGEST:,} bytes; expected a dump of the pages' "
                "last revisions (pages-articles), not of their history"
            )
        owned = len(rest) if chunk.owned else owned
    if origin and (check is not _check_first_gap or _begins_page(rest, owned) or not rest.strip()):
        _check_end(rest, check, _place(part.path, origin), on_warning)


def _where(origin: Offset, seam: int, chunk: Chunk, index: int) -> Offset:
    """Returns the offset of byte `index` of a buffer: `seam` bytes that begin at `origin`, then the chunk."""
    return (origin[0], origin[1] + index) if index < seam else (chunk.stream, chunk.position + index - seam)


def _find_pages(buffer: bytes, seam: int) -> Iterator[tuple[int, int]]:
    """Yields (start, end) of the complete pages; none ends in the first `seam` bytes, which were searched before."""
    stop, searched = 0, max(0, seam - len(_CLOSE))
    while (start := buffer.find(_OPEN, stop)) >= 0 and (close := buffer.find(_CLOSE, max(start, searched))) >= 0:
        stop = close + len(_CLOSE)
        yield start, stop


def _begins_page(rest: bytes, owned: int) -> bool:
    """Whether a page begins in the first `owned` bytes, even if its tag is cut off at the end of `rest`."""
    start = rest.find(_OPEN)
    if start < 0:
        cut = (length for length in range(1, len(_OPEN)) if rest.endswith(_OPEN[:length]))
        start = len(rest) - next(cut, 0)
    return start < owned


def _check_header(gap: bytes, place: str) -> None:
    if not _HEADER_END.search(gap):
        raise UserError(
            f"{place}: expected the header of a MediaWiki dump before the first <page>, found {_shown(gap)}"
        )


def _check_first_gap(gap: bytes, place: str) -> None:
    """Before a part's first page, allows blanks or the end of a page that an earlier part owns."""
    _, closed, after = gap.partition(_CLOSE)
    if closed:
        _check_gap(after, place)


def _check_gap(gap: bytes, place: str) -> None:
    """Between pages and after the last, allows blanks and the closing tag of the dump, or its beginning where a stream
    ends inside it."""
    if not _END.startswith(gap.strip()):
        raise UserError(f"{place}: broken XML: expected <page>, found {_shown(gap)}")


def _check_end(rest: bytes, check: Callable[[bytes, str], None], place: str, on_warning: Callable[[str], None]) -> None:
    """At the end of the file, expects the closing tag or warns."""
    if rest.strip().endswith(_END):
        check(rest.strip().removesuffix(_END), place)
        return
    begun = _begins_page(rest, len(rest))
    if not begun:
        check(rest, place)
    lost = "the page that begins there is incomplete and left out" if begun else "no page is cut off"
    on_warning(f"{place}: the dump ends without {_END.decode()}; {lost}, and all pages before it are read")


def _shown(gap: bytes) -> str:
    return repr(gap.strip()[:60].decode("utf-8", "replace"))


def _parse_page(data: bytes, offset: Offset, path: str, namespace_of: Callable[[str], int]) -> Page:
    """Parses one `<page>` element; of several revisions the last counts."""
    fields: dict[str, str] = {}
    redirects: list[str] = []
    texts: list[str] = []

    def on_start(name: str, attributes: dict[str, str]) -> None:
        texts.clear()
        if name == "redirect":
            redirects.append(attributes.get("title", ""))

    def on_end(name: str) -> None:
        if name in _LAST or name not in fields:
            fields[name] = "".join(texts)
        texts.clear()

    parser = expat.ParserCreate("utf-8")
    parser.buffer_text, parser.buffer_size = True, 1 << 20
    parser.StartElementHandler, parser.EndElementHandler = on_start, on_end
    parser.CharacterDataHandler = texts.append
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise UserError(_xml_fault(data, offset, path, parser.ErrorByteIndex, error)) from None
    title, text = fields.get("title", ""), fields.get("text", "")
    if not title.strip():
        raise UserError(f"{_place(path, offset)}: the page needs a <title>")
    page_id, namespace = fields.get("id", ""), fields.get("ns", "0")
    if not (_PAGE_ID.fullmatch(page_id) and _NAMESPACE.fullmatch(namespace)):
        faults = f"<id>{page_id[:40]}</id>, <ns>{namespace[:40]}</ns>"
        needs = "whole numbers as <id> (18 digits at most) and <ns>"
        raise UserError(f"{_place(path, offset)}: the page {title!r} needs {needs}, not {faults}")
    page_id, namespace = int(page_id), int(namespace) if "ns" in fields else namespace_of(title)
    return Page(page_id, title, namespace, _redirect(redirects, text), fields.get("model", "wikitext"), text, offset)


def _redirect(titles: list[str], text: str) -> str | None:
    """Returns the title in `<redirect title=...>`, else in the text's #REDIRECT [[target]]; None without either."""
    if titles and titles[0]:
        return titles[0].partition("#")[0]
    written = _REDIRECT.match(text)
    return written[1].strip() if written else "" if titles else None


def _xml_fault(data: bytes, offset: Offset, path: str, index: int, error: expat.ExpatError) -> str:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as fault:
        place = _place(path, (offset[0], offset[1] + fault.start))
        return f"{place}: the text is not UTF-8: {data[fault.start : fault.start + 8]!r}"
    message = expat.ErrorString(error.code)
    page = data[:index].count(b"\n") + 1
    place = _place(path, (offset[0], offset[1] + index))
    return f"{place}: broken XML ({message}) in line {page} of the page that begins at byte {offset[1]}"
