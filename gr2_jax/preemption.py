"""Being asked to leave: a cluster that takes a machine back sends SIGTERM first.

Long work polls `Preemption.requested` where it can stop without losing anything, and raises
`gr2_jax.errors.Preempted`.
"""

import itertools
import signal
import threading
from types import FrameType, TracebackType

import jax

_turns = itertools.count()  # of asking, over all of this process's work: processes that agree to leave name a turn


class Preemption:
    """`with Preemption() as preemption: ... preemption.requested()`: whether SIGTERM has come to any process.

    With `jax.distributed` all processes must ask equally often and get the same answer; without, SIGTERM no longer ends
    the program within the `with`. Outside of the main thread no signal can be caught: never requested.
    """

    def __enter__(self) -> "Preemption":
        self._came = False
        self._catches = not jax.distributed.is_initialized() and threading.current_thread() is threading.main_thread()
        if self._catches:
            self._before = signal.signal(signal.SIGTERM, self._notice)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._catches:
            signal.signal(signal.SIGTERM, self._before)

    def requested(self) -> bool:
        if jax.distributed.is_initialized():
            from jax.experimental import multihost_utils

            return multihost_utils.reached_preemption_sync_point(next(_turns))
        return self._came

    def _notice(self, number: int, frame: FrameType | None) -> None:
        self._came = True
