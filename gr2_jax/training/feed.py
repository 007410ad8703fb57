"""Batches that a thread prepares while the devices compute."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class Feed:
    """`with Feed(read, first, end) as feed: feed.next()` gives read(first), read(first + 1), ..., read(end - 1).

    Up to `ahead` batches are prepared in advance, one at a time and in order; with 0, `next` reads each batch itself.
    An exception of `read` is raised by the `next` call for that batch.
    """

    def __init__(self, read: Callable[[int], Any], first: int, end: int, ahead: int = 1):
        self._read, self._step, self._end, self._ahead = read, first, end, ahead
        self._coming = deque()

    def __enter__(self) -> "Feed":
        self._pool = ThreadPoolExecutor(1, "feed")
        self._order()
        return self

    def __exit__(self, *_: Any) -> None:
        self._pool.shutdown(cancel_futures=True)

    def next(self) -> Any:
        if not self._ahead:
            self._step += 1
            return self._read(self._step - 1)
        batch = self._coming.popleft().result()
        self._order()
        return batch

    def _order(self) -> None:
        while len(self._coming) < self._ahead and self._step < self._end:
            self._coming.append(self._pool.submit(self._read, self._step))
            self._step += 1
