"""Work on the next items of a stream while the results of earlier ones are used."""

import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item, Made = TypeVar("Item"), TypeVar("Made")


def ahead(make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[tuple[Item, Made]]:
    """Yields (item, make(item)) in the items' order. The first is made alone, with all that is made once. Then a thread
    for each core, and one more, makes; items are read as they come, a few ahead, and a result is yielded as soon as it
    is made and its turn has come.

    What reading or making an item raises, is raised in its turn.
    """
    items = iter(items)
    for item in itertools.islice(items, 1):
        yield item, make(item)
    workers = (os.cpu_count() or 1) + 1
    waiting: queue.Queue = queue.Queue(2 * workers)
    with ThreadPoolExecutor(workers) as threads:
        reader = threading.Thread(target=_read, args=(items, make, threads, waiting), daemon=True)
        reader.start()
        while (entry := waiting.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            item, made = entry
            yield item, made.result()


def _read(items: Iterable, make: Callable, threads: ThreadPoolExecutor, waiting: queue.Queue) -> None:
    try:
        for item in items:
            try:
                waiting.put((item, threads.submit(make, item)))
            except RuntimeError:  # the threads are gone: nobody wants results any more
                return
    except BaseException as error:
        waiting.put(error)
    waiting.put(None)
