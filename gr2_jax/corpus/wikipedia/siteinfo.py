"""Reads the header of a dump."""

import re
from xml.parsers import expat

from gr2_jax.corpus.wikipedia.dump import Opener, Part, open_binary, read_chunks
from gr2_jax.corpus.wikipedia.site import CANONICAL, Site
from gr2_jax.errors import UserError

_END = b"</siteinfo>"
_MOST = 1 << 20  # bytes; a header has a few thousand


def read_site(path: str, *, open: Opener = open_binary) -> Site:
    """Reads the header of a dump file; every file of a dump has one. Raises UserError if it is missing or invalid."""
    header = _read_header(path, open)
    site: dict[str, str] = {}
    names = dict(CANONICAL)
    texts: list[str] = []
    attributes: dict[str, str] = {}

    def on_start(name: str, given: dict[str, str]) -> None:
        texts.clear()
        attributes.clear()
        attributes.update(given)
        if name == "mediawiki":
            site["xml:lang"] = given.get("xml:lang", "")

    def on_end(name: str) -> None:
        if name == "namespace":
            names["".join(texts).lower()] = _key(attributes.get("key", ""), path)
        else:
            site[name] = "".join(texts)
        texts.clear()

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler, parser.EndElementHandler = on_start, on_end
    parser.CharacterDataHandler = texts.append
    try:
        parser.Parse(header, True)
    except expat.ExpatError as error:
        raise UserError(f"{path}: the dump's header (<siteinfo>) is broken XML: {error}") from None
    names.pop("", None)  # the main namespace has no prefix
    first_letter = site.get("case") != "case-sensitive"
    return Site(site.get("dbname", ""), site.get("xml:lang", ""), site.get("base", ""), names, first_letter)


def _key(written: str, path: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", written):
        raise UserError(f"{path}: a <namespace> of the dump's header needs a number as its key, not {written[:40]!r}")
    return int(written)


def _read_header(path: str, open: Opener) -> bytes:
    """Returns `<mediawiki ...><siteinfo>...</siteinfo></mediawiki>`."""
    read = b""
    for chunk in read_chunks(Part(path), open=open):
        read += chunk.data
        end = read.find(_END)
        if end >= 0:
            return read[: end + len(_END)] + b"</mediawiki>"
        if b"<page>" in read or len(read) > _MOST:
            break
    raise UserError(
        f"{path}: no <siteinfo> before the first page; a MediaWiki dump names its wiki and namespaces there"
    )
