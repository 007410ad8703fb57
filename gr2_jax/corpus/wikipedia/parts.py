"""Phase 1: parses each part of a dump into files of articles, which are complete or absent."""

import json
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gr2_jax.corpus.wikipedia import storage
from gr2_jax.corpus.wikipedia.article import Article, parse_article
from gr2_jax.corpus.wikipedia.dump import Part
from gr2_jax.corpus.wikipedia.examples import encode_example, frame
from gr2_jax.corpus.wikipedia.pairs import WikipediaOptions, candidates, query_of
from gr2_jax.corpus.wikipedia.site import ARTICLE, Site
from gr2_jax.corpus.wikipedia.xml_pages import Page, read_pages
from gr2_jax.errors import UserError

# A piece is written when it reaches this size; a dump that cannot be cut is one part with many pieces.
_PIECE_BYTES = 64 << 20
_ENTRY = struct.Struct("<qI")


@dataclass(frozen=True)
class PartTask:
    """A part of a dump, and the path of its output files without their endings."""

    part: Part
    target: str

    @property
    def summary(self) -> str:
        """The file that is written last: the part is complete if it exists."""
        return self.target + ".json"

    @property
    def error(self) -> str:
        """The file that says why the part could not be parsed."""
        return self.target + ".error"


def parse_part(task: PartTask, site: Site, options: WikipediaOptions) -> str:
    """Parses a part and returns its target; an error is written to `task.error`, so that other parts continue."""
    where = f"{task.part.path}, part from byte {task.part.start}"
    writer, warnings = _PieceWriter(task.target, options), []
    try:
        for page in read_pages(task.part, on_warning=warnings.append, open=storage.open_raw):
            where = f"{task.part.path}, page {page.title!r} at {page.offset}"
            writer.add(page, site)
        writer.flush()
        storage.write_json(task.summary, {"counts": dict(writer.counts), "warnings": warnings, "pieces": writer.pieces})
    except UserError as error:
        storage.write_json(task.error, {"input": True, "text": str(error)})
    except Exception as error:
        storage.write_json(task.error, {"input": False, "text": f"{where}: {type(error).__name__}: {error}"})
    return task.target


class _PieceWriter:
    """Collects the parsed pages and writes them in pieces: documents by shard, then titles and queries."""

    def __init__(self, target: str, options: WikipediaOptions):
        self.counts: Counter[str] = Counter()
        self.pieces: list[dict] = []
        self._target, self._options = target, options
        self._clear()

    def _clear(self) -> None:
        self._documents: list[list[bytes]] = [[] for _ in range(self._options.shards)]
        self._records: list[bytes] = []
        self._size = 0

    def add(self, page: Page, site: Site) -> None:
        self.counts["pages"] += 1
        self.counts["characters"] += len(page.text)
        if page.namespace != ARTICLE:
            self.counts["pages of other namespaces"] += 1
        elif page.redirect is not None:
            self.counts["redirects"] += 1
            namespace, target = site.normalise(page.redirect)
            self._record("redirect", page.title, target if namespace == ARTICLE else "")
        elif not page.is_article:
            self.counts["pages of other content models"] += 1
        else:
            self._add_article(parse_article(page, site, text_characters=self._options.text_characters), site)
        if self._size >= _PIECE_BYTES:
            self.flush()

    def _add_article(self, article: Article, site: Site) -> None:
        if article.is_disambiguation or article.is_list:
            kind = "disambiguation" if article.is_disambiguation else "list"
            self.counts[f"{kind} pages"] += 1
            self._record(kind, article.title)
            return
        self.counts["articles"] += 1
        query = query_of(article, self._options)
        if query is None:
            self._record("article", article.title, article.page_id)
        else:
            self._record("ask", article.title, article.page_id, query, candidates(article, self._options))
        url = site.url(article.title)
        features = {"doc_id": article.page_id, "title": article.title, "text": article.text, "url": url}
        record = frame(encode_example(features))
        entry = _ENTRY.pack(article.page_id, len(record)) + record
        self._documents[article.page_id % self._options.shards].append(entry)
        self._size += len(entry)

    def _record(self, *fields: object) -> None:
        line = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self._records.append(line)
        self._size += len(line)

    def flush(self) -> None:
        path = f"{self._target}-{len(self.pieces):05d}.articles"
        ends, chunks, end = [], [], 0
        for block in (*self._documents, self._records):
            end += sum(map(len, block))
            ends.append(end)
            chunks += block
        storage.write(path, chunks)
        self.pieces.append({"path": storage.FileSystems.split(path)[1], "ends": ends})
        self._clear()


def read_records(piece: dict) -> Iterator[list]:
    """Yields ["redirect", title, target], ["article", title, id], ["ask", title, id, query, candidates] and others."""
    for line in _block(piece, len(piece["ends"]) - 1).splitlines():
        yield json.loads(line)


def read_documents(piece: dict, shard: int) -> Iterator[tuple[int, bytes]]:
    """Yields (page id, framed record) of the piece's documents in a shard."""
    block, position = _block(piece, shard), 0
    while position < len(block):
        page_id, length = _ENTRY.unpack_from(block, position)
        position += _ENTRY.size + length
        yield page_id, block[position - length : position]


def _block(piece: dict, index: int) -> bytes:
    start, end = ([0] + piece["ends"])[index : index + 2]
    with storage.open_raw(piece["path"]) as file:
        file.seek(start)
        return file.read(end - start)
