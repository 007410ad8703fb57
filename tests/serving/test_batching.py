"""Queries of many tasks become calls of a searcher: in order, few together, refused when too many wait."""

import asyncio
import threading

import pytest

from gr2_jax.search.searcher import BatchOptions, Hit
from gr2_jax.serving.batching import Batches, Busy


class Slow:
    """Answers "q" with a hit of that id once `go` is set, and keeps the calls."""

    options = BatchOptions()

    def __init__(self):
        self.calls, self.go = [], threading.Event()

    def search(self, queries, k=20, *, whole_batches=False):
        self.calls.append((list(queries), k, whole_batches))
        assert self.go.wait(20)
        if "bad" in queries:
            raise ValueError("no such query")
        return [[Hit(query, "", float(k), True)] for query in queries]


async def over(searcher, ask, **settings):
    batches = Batches(searcher, **({"most": 100} | settings))
    await batches.start()
    try:
        return await ask(batches)
    finally:
        searcher.go.set()
        await batches.stop()


async def until(holds):
    for _ in range(2000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came")


def test_queries_that_wait_go_together_by_depth_and_come_back_in_order():
    async def ask(batches):
        first = asyncio.create_task(batches.search(["a"], 5))
        await until(lambda: searcher.calls)
        later = [
            asyncio.create_task(batches.search([name, name + name], k)) for name, k in (("b", 5), ("c", 9), ("d", 5))
        ]
        await asyncio.sleep(0)
        searcher.go.set()
        return await asyncio.gather(first, *later)

    searcher = Slow()
    found = asyncio.run(over(searcher, ask, together=3))
    assert [[hit.doc_id for (hit,) in lists] for lists in found] == [["a"], ["b", "bb"], ["c", "cc"], ["d", "dd"]]
    assert [[hit.score for (hit,) in lists] for lists in found] == [[5], [5, 5], [9, 9], [5, 5]]
    assert searcher.calls == [(["a"], 5, True), (["b", "bb", "d"], 5, True), (["c", "cc"], 9, True), (["dd"], 5, True)]


def test_alone_on_a_cpu_each_query_is_a_call_in_a_thread_of_its_own():
    async def ask(batches):
        both = asyncio.create_task(batches.search(["a", "b"], 5))
        await until(lambda: len(searcher.calls) == 2)  # both at once: the first has not ended
        searcher.go.set()
        return await both

    searcher = Slow()
    asyncio.run(over(searcher, ask))
    assert sorted(searcher.calls) == [(["a"], 5, False), (["b"], 5, False)]


def test_too_many_are_refused_and_what_is_given_up_is_not_searched():
    async def ask(batches):
        first = asyncio.create_task(batches.search(["a"], 5))
        await until(lambda: searcher.calls)
        given_up = asyncio.create_task(batches.search(["b"], 5))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await batches.search(["c", "d"], 5)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        searcher.go.set()
        await first
        return await batches.search(["e"], 5)

    searcher = Slow()
    asyncio.run(over(searcher, ask, most=2, together=2))
    assert [queries for queries, _, _ in searcher.calls] == [["a"], ["e"]]


def test_what_is_given_up_does_not_count_as_waiting():
    async def ask(batches):
        first = asyncio.create_task(batches.search(["a"], 5))
        await until(lambda: searcher.calls)
        given_up = [asyncio.create_task(batches.search(["b"], 5)) for _ in range(2)]
        await asyncio.sleep(0)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        after = asyncio.create_task(batches.search(["c", "d"], 5))  # while the first is still searched
        await asyncio.sleep(0.01)
        searcher.go.set()
        await first
        return await after

    searcher = Slow()
    found = asyncio.run(over(searcher, ask, most=3, together=2))
    assert [hit.doc_id for (hit,) in found] == ["c", "d"]


def test_what_a_search_raises_is_raised_where_it_was_asked_and_the_next_is_answered():
    async def ask(batches):
        searcher.go.set()
        with pytest.raises(ValueError, match="no such query"):
            await batches.search(["bad", "good"], 5)
        return await batches.search(["good"], 5)

    searcher = Slow()
    ((hit,),) = asyncio.run(over(searcher, ask, together=2))
    assert hit.doc_id == "good"
