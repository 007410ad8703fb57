"""The rows that a server searches, each with its queue, and the answers to what is asked of them as JSON values."""

import asyncio
import dataclasses
import functools
import glob
import time
from collections.abc import Sequence
from typing import Any

from gr2_jax.corpus import Document
from gr2_jax.errors import UserError, nearest
from gr2_jax.search.interpolated import Interpolated
from gr2_jax.search.opened import FoundDocument, OpenRetriever
from gr2_jax.search.reranked import Reranked
from gr2_jax.search.retriever import Retriever
from gr2_jax.serving.batching import Batches
from gr2_jax.serving.judged import JudgedQueries
from gr2_jax.serving.requests import ExplainRequest, SearchRequest

_MOST_WAITING = 2_000  # queries of a row
_KEPT_CHOICES = 16  # of documents, with a bit for each docid's tokens
_FIRST_QUERY = "the first query"  # asked before any client does, so that nobody waits for what is made once


class ServedRow:
    """A row and the queue of its queries."""

    def __init__(self, retriever: OpenRetriever, batches: Batches):
        self.retriever, self.batches = retriever, batches
        self.only = functools.lru_cache(_KEPT_CHOICES)(lambda ids: retriever.only(ids).searcher)
        """(an id or a pattern of ids) -> the row's searcher over those documents."""

    @property
    def writer(self) -> Retriever | None:
        """The retriever that writes docids, alone or beside another searcher; None for a row that writes none."""
        searcher = self.retriever.searcher
        while isinstance(searcher, Interpolated | Reranked):
            searcher = searcher.first
        return searcher if isinstance(searcher, Retriever) else None


class ServedRows:
    """Rows of one run: `ServedRows(retrievers, judged)`, then `start`, and at last `stop`."""

    def __init__(
        self, name: str, retrievers: Sequence[OpenRetriever], judged: JudgedQueries, *, together: int | None = None
    ):
        self.name = name
        self._rows = {
            retriever.row: ServedRow(retriever, Batches(retriever.searcher, most=_MOST_WAITING, together=together))
            for retriever in retrievers
        }
        self.judged = judged

    async def start(self) -> None:
        """Takes queries once the programs of common lengths are compiled, of all documents and of some."""
        first = next(iter(self._retriever.documents))
        for row in self._rows.values():
            await row.batches.start()
            for k, searcher in ((10, None), (100, None), (10, row.only(glob.escape(first)))):
                await row.batches.search([_FIRST_QUERY], k, searcher)
            if row.writer is not None:
                await asyncio.to_thread(row.writer.token_log_likelihoods, _FIRST_QUERY, [first])

    async def stop(self) -> None:
        for row in self._rows.values():
            await row.batches.stop()

    def about(self) -> dict[str, Any]:
        """What can be searched."""
        rows = [
            {
                "name": name,
                "writes_docids": row.writer is not None,
                "proves": row.retriever.searcher.proves,
                "ranks_jointly": bool(row.writer and row.writer.ranks_jointly),
            }
            for name, row in self._rows.items()
        ]
        return {
            "name": self.name,
            "documents": len(self._retriever.documents),
            "rows": rows,
            "judged_queries": len(self.judged.qrels),
            "highest_grade": max(
                (grade for grades in self.judged.qrels.values() for grade in grades.values()), default=0
            ),
        }

    async def search(self, asked: SearchRequest) -> list[dict[str, Any]]:
        """A record for each query: `query`, `row`, `hits` as `gr2 search --json` prints them, `milliseconds`, and where
        the query is a judged one `grades`, document id -> grade."""
        row, begin = self._row(asked.row), time.perf_counter()
        searcher = None if asked.only is None else await asyncio.to_thread(row.only, asked.only)
        lists = await row.batches.search(asked.queries, asked.k, searcher)
        took = round(1e3 * (time.perf_counter() - begin), 1)
        return [
            {
                "query": query,
                "row": row.retriever.row,
                "milliseconds": took,
                "grades": self.judged.grades(query),
                "hits": [_record(hit, asked.characters) for hit in row.retriever.found(hits)],
            }
            for query, hits in zip(asked.queries, lists, strict=True)
        ]

    async def explain(self, asked: ExplainRequest) -> list[dict[str, Any]]:
        """For each document: its docid's tokens with log P(token | query, tokens before)."""
        row = self._row(asked.row)
        if row.writer is None:
            raise UserError(f"the row {row.retriever.row} writes no docids")
        found = await asyncio.to_thread(row.writer.token_log_likelihoods, asked.query, asked.doc_ids)
        return [
            {"doc_id": doc_id, "tokens": [{"text": text, "log_likelihood": value} for text, value in tokens]}
            for doc_id, tokens in zip(asked.doc_ids, found, strict=True)
        ]

    def document(self, doc_id: str) -> Document | None:
        """A document of the run; None where there is none of this id."""
        return self._retriever.documents.get(doc_id)

    @property
    def _retriever(self) -> OpenRetriever:
        """Of the first row; all are over the same documents."""
        return next(iter(self._rows.values())).retriever

    def _row(self, name: str | None) -> ServedRow:
        name = next(iter(self._rows)) if name is None else name
        if name not in self._rows:
            raise UserError(f"there is no row '{name[:100]}': {nearest(name[:100], self._rows)}")
        return self._rows[name]


def _record(hit: FoundDocument, characters: int | None) -> dict[str, Any]:
    record = dataclasses.asdict(hit)
    return record if characters is None else record | {"text": hit.text[:characters]}
