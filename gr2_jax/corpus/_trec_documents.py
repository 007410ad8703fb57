"""TREC's document files: tagged text (SGML), TRECWEB and WARC, plain or gzip, detected by their first bytes.

ir_datasets parses single documents. This module splits files into documents, because ir_datasets' reader of TRECWEB
never ends on a file that is truncated or ends in a blank line, and its reader of tagged text drops such a document.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from gr2_jax.corpus import _files
from gr2_jax.corpus._markup import words_within
from gr2_jax.corpus._named_tuples import document_of
from gr2_jax.corpus.collection import Document
from gr2_jax.errors import UserError

_CHUNK = 1 << 20
_HEAD = 64  # bytes that tell the formats apart
_TITLES = frozenset({"headline", "title", "h3", "h4", "ti", "hl", "head", "ttl"})
_BODIES = frozenset({"text", "dd", "date", "lp", "leadpara"})
_DOCNO = re.compile(rb"<DOCNO>(.*?)</DOCNO>", re.DOTALL)


def read_documents(path: Path) -> Iterator[Document]:
    """Yields the documents of one file.

    Raises UserError for a file of another format, a damaged or truncated file, a document without an id, and a WARC
    file where ir_datasets' reader of WARC is not installed (`pip install 'ir_datasets[warc]'`).
    """
    with _files.open_bytes(path) as file:
        head = file.peek(_HEAD)[:_HEAD]
        if head.startswith(b"WARC/"):
            yield from _warc(path, file, clueweb09=head.startswith(b"WARC/0.18"))
        elif b"<DOC>" in head:
            yield from _tagged(path, file)
        else:
            raise UserError(
                f"{path} is neither TREC text (<DOC>) nor WARC: it begins with {_files.shown(str(head[:20]))}"
            )


def _tagged(path: Path, file: BinaryIO) -> Iterator[Document]:
    from ir_datasets.datasets.gov2 import Gov2Docs

    web = Gov2Docs(None, None)
    for number, block in enumerate(_blocks(path, file), 1):
        place = f"{path}, document {number}"
        found = _DOCNO.search(block)
        if not found:
            raise UserError(f"{place}: there is no <DOCNO>")
        doc_id = _files.check_id("document", found[1].decode(errors="replace").strip(), place)
        if b"<DOCHDR>" in block:
            yield document_of(_parsed_web(web, block, place))
        else:
            yield _parsed_text(doc_id, block)


def _blocks(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Yields the bytes between <DOC> and </DOC> with LF line ends; holds one document and one chunk in memory."""
    rest, number = b"", 0
    while chunk := file.read(_CHUNK):
        *blocks, rest = (rest + chunk).split(b"</DOC>")
        for block in blocks:
            number += 1
            _, begun, body = block.partition(b"<DOC>")
            if not begun:
                raise UserError(f"{path}, document {number}: expected <DOC>, found {_files.shown(str(block[:20]))}")
            yield body.lstrip(b"\r\n").replace(b"\r\n", b"\n")
    if rest.strip():
        raise UserError(f"{path} ends inside document {number + 1}: there is no </DOC>")


def _parsed_web(web: Any, block: bytes, place: str) -> Any:
    try:
        return web._process_gov2_doc(block)
    except (AssertionError, ValueError) as error:
        raise UserError(f"{place}: <DOCNO> and <DOCHDR> with a URL must be closed, each before a line's end") from error


def _parsed_text(doc_id: str, block: bytes) -> Document:
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError:
        text = block.decode("latin-1")  # TREC's disks
    title, body = words_within(text, _TITLES, _BODIES)
    return Document(doc_id, " ".join(title.split()), body)


def _warc(path: Path, file: BinaryIO, *, clueweb09: bool) -> Iterator[Document]:
    from ir_datasets.formats.webarc import WarcDocs

    try:
        for record in WarcDocs(warc_cw09=clueweb09)._docs_ctxt_iter_warc(file):
            yield document_of(record)
    except ImportError as error:
        raise UserError(f"{path} is a WARC file: pip install 'ir_datasets[warc]' to read it") from error
    except (KeyError, AttributeError) as error:  # that reader raises AttributeError for a missing header
        raise UserError(f"{path} has a response without WARC-TREC-ID, WARC-Target-URI or WARC-Date") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as WARC: {error}") from None
