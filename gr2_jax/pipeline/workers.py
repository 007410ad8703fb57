"""Worker processes of this host: a function over many items, whose results come in the items' order.

The workers are new programs, no copies of this one, whose threads (JAX has some) a copy would not have. They import the
function's module and what that imports, nothing else.
"""

import os
import pickle
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from gr2_jax.errors import UserError

Item, Made = TypeVar("Item"), TypeVar("Made")
VARIABLE = "GR2_WORKERS"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_PROGRAM = "import sys; from gr2_jax.pipeline.workers import serve; serve(int(sys.argv[1]))"
_BETWEEN_LOOKS = 0.5  # seconds after which a worker notices that nobody waits for it any more
_alone: ContextVar[bool] = ContextVar("alone", default=False)


def asked_for() -> int | None:
    """How many workers GR2_WORKERS asks for. Raises `UserError` unless that is a whole number above 0."""
    given = os.environ.get(VARIABLE)
    if given is not None and not re.fullmatch("[1-9][0-9]{0,3}", given):
        raise UserError(f"{VARIABLE} is '{given}': it must be a whole number from 1 to 9999")
    return None if given is None else int(given)


def worker_count() -> int:
    """How many processes work at a time: as many as are asked for, else as many as this one may use cores, of which
    a container may have fewer than there are."""
    if _alone.get():
        return 1
    if (asked := asked_for()) is not None:
        return asked
    from joblib import cpu_count

    return cpu_count()


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
    hold. Two results of each worker at most wait for whoever takes them.

    Raises:
        UserError: What `work` raises; or a worker was ended from outside.
    """
    count = worker_count()
    if count == 1:
        yield from map(work, items)
        return
    free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

    def done(item: Item) -> Made:
        worker = free.get()
        try:
            return worker.do(work, item)
        finally:
            free.put(worker)

    workers, waiting, threads = [], deque(), ThreadPoolExecutor(count)
    try:
        for item in items:
            if len(workers) < count:
                workers.append(_Worker())
                free.put(workers[-1])
            waiting.append(threads.submit(done, item))
            if len(waiting) > 2 * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        for worker in workers:
            worker.end()
        threads.shutdown()


class _Worker:
    """A process that does one thing at a time; a thread of this process waits for it."""

    def __init__(self) -> None:
        paths = os.pathsep.join(filter(None, sys.path))
        with _signals_kept_from_children():
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | _ONE_THREAD | {"PYTHONPATH": paths},
            )

    def do(self, work: Callable[[Item], Made], item: Item) -> Made:
        try:
            pickle.dump((work, item), self._process.stdin)
            self._process.stdin.flush()
            made, error = pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError) as cut:
            if self._process.wait() > 0:  # below 0: by a signal
                raise UserError("a worker process failed, as it says above") from cut
            raise UserError(
                "a worker process was ended from outside, perhaps because memory is full: the same command goes on "
                f"from here, and a smaller {VARIABLE} than {worker_count()} lets fewer of them work at a time"
            ) from cut
        if error is not None:
            raise error
        return made

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def _signals_kept_from_children() -> Iterator[None]:
    """Ctrl-C and Slurm signal all processes of a job; what is to be done then, this one does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(parent: int) -> None:
    """What a worker does, until the process that it works for is gone."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no result
    while True:
        try:
            work, item = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(_answer(work, item), results)
        results.flush()


def _answer(work: Callable[[Item], Made], item: Item) -> tuple[Made | None, Any]:
    """(what was made, None), or (None, the error)."""
    try:
        return work(item), None
    except Exception as error:
        if not isinstance(error, UserError):
            error.add_note("".join(traceback.format_exception(error)))
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # of a class that cannot be made again from what it says
            return None, (UserError if isinstance(error, UserError) else RuntimeError)(str(error))
        return None, error


def _end_with(parent: int) -> None:
    """A worker ends with the process that waits for it, also where that is killed."""
    while os.getppid() == parent:
        time.sleep(_BETWEEN_LOOKS)
    os._exit(1)
