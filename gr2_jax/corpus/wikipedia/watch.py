"""Progress of work that happens in other processes, seen by the files that it leaves."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gr2_jax.corpus.wikipedia import storage
from gr2_jax.progress import progress

_SECONDS = 5.0


@contextmanager
def watching(paths: Sequence[str], label: str) -> Iterator[None]:
    """Shows, while the work inside goes on, how many of the files are there."""
    stop = threading.Event()
    waiting = [path for path in paths if not storage.exists(path)]

    def look() -> None:
        with progress(len(paths), label, initial=len(paths) - len(waiting)) as bar:
            left = waiting
            while not stop.wait(_SECONDS):
                still = [path for path in left if not storage.exists(path)]
                if len(still) < len(left):
                    bar.advance(len(left) - len(still))
                left = still

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
