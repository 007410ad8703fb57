"""What a part of a run's work costs: seconds, memory and disk."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gr2_jax.memory import give_back_freed_memory, own_memory

Figures = dict[str, float]
"""began           when, in seconds since 1970
seconds         by the clock
cpu_seconds     of all cores together
memory_bytes    the most that the process took beyond what it held before
process_bytes   the most that it held in all
disk_bytes      what the part left on the disk
"""
_BETWEEN_LOOKS = 0.1  # seconds between looks at the memory


@contextmanager
def measured(folder: Path, keep: Callable[[Figures], None], *, passing: Path) -> Iterator[None]:
    """Measures the block and gives the figures to `keep` when it ends without an error. Disk is what `folder` grows by,
    but for its folder `passing`, which is removed later. Memory is that of the process alone, without files that are
    mapped."""
    gc.collect()
    give_back_freed_memory()
    began, disk, memory = time.time(), _size_of(folder, passing), own_memory()
    seconds, cpu = time.monotonic(), time.process_time()
    with _highest_memory() as highest:
        yield
    keep(
        {
            "began": began,
            "seconds": time.monotonic() - seconds,
            "cpu_seconds": time.process_time() - cpu,
            "memory_bytes": max(0, highest() - memory),
            "process_bytes": highest(),
            "disk_bytes": _size_of(folder, passing) - disk,
        }
    )


@contextmanager
def _highest_memory() -> Iterator[Callable[[], int]]:
    """Yields what tells the most memory since the block began, also when it has ended."""
    most, over = own_memory(), threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(_BETWEEN_LOOKS):
            most = max(most, own_memory())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: most
    finally:
        over.set()
        thread.join()
        most = max(most, own_memory())


def _size_of(folder: Path, passing: Path) -> int:
    """Bytes of all files in the folder that are not in the other."""
    files = (path for path in folder.rglob("*") if not path.is_relative_to(passing) and path.is_file())
    return sum(path.stat().st_size for path in files)
