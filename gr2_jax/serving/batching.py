"""Queries of many requests, gathered into calls of a searcher."""

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from gr2_jax.search.searcher import Hit, Searcher


class Busy(Exception):
    """More queries wait than a server should take."""


class _Waiting(NamedTuple):
    query: str
    k: int
    searcher: Searcher
    hits: asyncio.Future


class Batches:
    """`await batches.search(["a query"], 10)` from many tasks at once, between `start` and `stop`.

    While calls run, queries wait; the next call takes those that have waited longest, as many as it holds and as have
    the same k and searcher. A list is the same bytes whatever else is in a call. On a CPU, where a call takes as long
    as its queries one after the other, each is a call of its own, a thread for each core and one more. On an
    accelerator every call is padded to whole batches.

    Args:
        searcher: What is searched.
        most: Queries that may wait for their answers; one more is refused with `Busy`.
        together: Queries of a call; by default 1 on a CPU, elsewhere a batch for every device.
    """

    def __init__(self, searcher: Searcher, *, most: int, together: int | None = None):
        self._searcher, self._most = searcher, most
        self._together = _queries_per_call(searcher) if together is None else together
        self._threads = (os.cpu_count() or 1) + 1 if self._together == 1 else 1
        self._waiting: deque[_Waiting] = deque()
        self._open = 0  # queries that somebody still waits for
        self._calls: list[asyncio.Task] = []

    async def start(self) -> None:
        self._changed = asyncio.Condition()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="search")
        self._calls = [asyncio.create_task(self._work()) for _ in range(self._threads)]

    async def stop(self) -> None:
        """Leaves what waits unanswered: a server stops once its requests are answered."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        self._pool.shutdown(cancel_futures=True)

    async def search(self, queries: Sequence[str], k: int, searcher: Searcher | None = None) -> list[list[Hit]]:
        """The searcher's lists, in order, or those of another one of the same programs; what a search raises is raised
        here."""
        if self._open + len(queries) > self._most:
            raise Busy
        self._open += len(queries)
        loop = asyncio.get_running_loop()
        searcher = self._searcher if searcher is None else searcher
        asked = [_Waiting(query, k, searcher, loop.create_future()) for query in queries]
        async with self._changed:
            self._waiting.extend(asked)
            self._changed.notify(len(asked))
        try:
            return await asyncio.gather(*(one.hits for one in asked))
        finally:  # of a request that is given up, or failed, nothing more is searched
            self._open -= len(queries)
            for one in asked:
                one.hits.cancel()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._waiting)
                call = self._next_call()
            if not call:
                continue
            try:
                lists = await loop.run_in_executor(self._pool, self._search, call)
            except Exception as error:
                for one in call:
                    if not one.hits.done():
                        one.hits.set_exception(error)
            else:
                for one, hits in zip(call, lists, strict=True):
                    if not one.hits.done():
                        one.hits.set_result(hits)

    def _next_call(self) -> list[_Waiting]:
        call: list[_Waiting] = []
        others: deque[_Waiting] = deque()
        while self._waiting and len(call) < self._together:
            one = self._waiting.popleft()
            if not one.hits.done():
                together = not call or (one.k == call[0].k and one.searcher is call[0].searcher)
                (call if together else others).append(one)
        self._waiting.extendleft(reversed(others))
        return call

    def _search(self, call: Sequence[_Waiting]) -> list[list[Hit]]:
        queries, first = [one.query for one in call], call[0]
        return first.searcher.search(queries, first.k, whole_batches=self._together > 1)


def _queries_per_call(searcher: Searcher) -> int:
    import jax

    return 1 if jax.default_backend() == "cpu" else searcher.options.batch * jax.local_device_count()
