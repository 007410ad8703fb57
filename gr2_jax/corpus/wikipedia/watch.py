"""The progress of work in other processes, measured by the files that they have written."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gr2_jax.corpus.wikipedia import storage
from gr2_jax.progress import progress

_SECONDS = 5.0


@contextmanager
def watching(paths: Sequence[str], label: str) -> Iterator[None]:
    """Shows how many of the files exist while the block runs."""
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
