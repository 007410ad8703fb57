"""Worker processes of this host: a function over many items, whose results come in the items' order.

The workers are new programs, no copies of this one, whose threads (JAX has some) a copy would not have. They import the
function's module and what that imports, nothing else.
"""

import os
import re
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from gr2_jax.errors import UserError

Item, Made = TypeVar("Item"), TypeVar("Made")
VARIABLE = "GR2_WORKERS"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_BETWEEN_LOOKS = 0.5  # seconds after which a worker notices that nobody waits for it any more
_alone: ContextVar[bool] = ContextVar("alone", default=False)


def asked_for() -> int | None:
    """How many workers GR2_WORKERS asks for. Raises `UserError` unless that is a whole number above 0."""
    given = os.environ.get(VARIABLE)
    if given is not None and not re.fullmatch("[1-9][0-9]{0,3}", given):
        raise UserError(f"{VARIABLE} is '{given}': it must be a whole number from 1 to 9999")
    return None if given is None else int(given)


def worker_count() -> int:
    """How many processes work at a time: as many as are asked for, else as many as this one may use cores."""
    if _alone.get():
        return 1
    from joblib import cpu_count  # which knows a container's share of the machine, too

    return asked_for() or cpu_count()


@contextmanager
def without_workers() -> Iterator[None]:
    """While the block runs, this process works alone, so that it can be measured."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def in_workers(work: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """Yields work(item) for each item, in their order; without workers where one process is to work. `work`, the items
    and the results go from process to process by pickle: name a module's function, and files rather than what they
    hold. A few results at most wait for whoever takes them.

    Raises:
        UserError: What `work` raises; or a worker was ended from outside.
    """
    workers = worker_count()
    if workers == 1:
        yield from map(work, items)
        return
    from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor

    executor = ProcessPoolExecutor(workers, initializer=_begin, initargs=(os.getpid(),), env=_ONE_THREAD)
    waiting: deque = deque()
    try:
        for item in items:
            with _signals_kept_from_children():
                waiting.append(executor.submit(work, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            f"a worker process was ended from outside, perhaps because memory is full: the same command goes on from "
            f"here, and {VARIABLE}={max(1, workers // 2)} lets fewer than {workers} work at a time"
        ) from error
    finally:
        executor.shutdown(kill_workers=bool(waiting))


@contextmanager
def _signals_kept_from_children() -> Iterator[None]:
    """Ctrl-C and Slurm signal all processes of a job; what is to be done then, this one does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: int) -> None:
    """A worker ends with the process that waits for it, also where that is killed."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_BETWEEN_LOOKS)
    os._exit(1)
