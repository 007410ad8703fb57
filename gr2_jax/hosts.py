"""The processes of a job: how they join, wait for each other, agree, and stop together on SIGTERM."""

import itertools
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TypeVar

from gr2_jax import buckets
from gr2_jax.errors import UserError, reason_of
from gr2_jax.heartbeat import Watch, heartbeat_seconds
from gr2_jax.progress import be_quiet, say
from gr2_jax.roll_call import call_roll, wait_for_answer

T = TypeVar("T")
_VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
_CLUSTER = "GR2_CLUSTER"
_PATIENCE = 60  # seconds to wait for the other processes
_CLUSTER_PATIENCE = 600  # on a cluster they may still be loading their image
_CONNECTS_WITHIN = 15  # seconds for JAX, once all processes have answered
_SEEN_WITHIN = 20  # seconds within which a network file system shows another host's files
_TEXT = 2000  # bytes of a text that processes exchange
_meetings = itertools.count()
_watch: Watch | None = None
_turns = itertools.count()  # numbers the checks for preemption in this process: processes agree on the one to stop at


def join_processes() -> bool:
    """Joins the processes that the environment names (host:port of the first, their count, this one's index) or, with
    GR2_CLUSTER=auto, those that JAX detects (TPU VMs, Slurm, Kubernetes); without these variables the process is alone.
    Call it before JAX is used. Returns whether this process is the first; the others print nothing from here on.

    Raises:
        UserError: A variable is missing or not a number, or nobody answers at the address within a minute.
        Lost: Some processes have not joined within a minute (ten on a cluster); the sentence names them.
    """
    import jax

    given = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    how = os.environ.get(_CLUSTER, "")
    if how not in ("", "auto"):
        raise UserError(f"{_CLUSTER} is '{how}': it must be 'auto' or unset")
    if not given and not how:
        return True
    if given and (missing := [name for name in _VARIABLES if name not in given]):
        raise UserError(
            f"{next(iter(given))} is set and {missing[0]} is not: several processes need {', '.join(_VARIABLES)}"
        )
    said = ", ".join(f"{name}={value}" for name, value in given.items()) or f"{_CLUSTER}=auto"
    try:
        _initialise(given, _PATIENCE if given else _CLUSTER_PATIENCE)
    except ValueError as error:
        raise UserError(f"{said}: {error}") from error
    except RuntimeError as error:
        raise UserError(f"could not join the others ({said}): {' '.join(str(error).split())}") from error
    if jax.default_backend() == "cpu":
        # host 0 alone writes to the cache; what it loads later and what the others compile exchange arrays of other
        # sizes in their first collective, or wait for each other for ever
        jax.config.update("jax_enable_compilation_cache", False)
    if jax.process_index():
        be_quiet()
    return jax.process_index() == 0


def _initialise(given: dict[str, str], patience: int) -> None:
    """Starts `jax.distributed`, once all processes have called host 0, and the watch that names lost hosts."""
    import jax
    from jax._src import distributed  # JAX has no public name for its client; Orbax takes it from there as well

    global _watch
    seconds = heartbeat_seconds()
    if given:
        address, count, place = given.values()
        count, place, devices = int(count), int(place), None
        if not 0 <= place < count:
            raise ValueError(f"the process's number must be from 0 to {count - 1}")
        say(f"process {place} of {count} joins the others at {address}")
    else:
        address, count, place, devices = _detected(patience)
    if address is not None:
        call_roll(address, count, place, patience)
        if place:
            wait_for_answer(address, patience)
        patience = max(_CONNECTS_WITHIN, seconds)  # all are there
    jax.distributed.initialize(
        address,
        count,
        place,
        local_device_ids=devices,
        initialization_timeout=patience,
        heartbeat_timeout_seconds=seconds,
    )
    joined = distributed.global_state
    if joined.process_id == 0:
        say(f"all {joined.num_processes} processes have joined")
    _watch = Watch(joined.client, joined.process_id, joined.num_processes, seconds)
    _watch.start()


def _detected(patience: int) -> tuple[str | None, int | None, int | None, Any]:
    """(address of host 0, number of processes, this one's, its devices) as JAX would find them; all None where this
    JAX is not asked so, and then JAX joins alone."""
    try:
        from jax._src.clusters import ClusterEnv

        found = ClusterEnv.auto_detect_unset_distributed_params(None, None, None, None, None, patience)
    except (ImportError, AttributeError, TypeError):
        return None, None, None, None
    return found if None not in found[:3] else (None, None, None, None)


def wait_for_name() -> None:
    """Returns once a lost host has been named on stderr, or would have ended this process: call it before leaving
    because of an error that another host's end may have caused."""
    if _watch is not None:
        _watch.wait_for_name()


def is_first() -> bool:
    """Whether this process is the first of its job, or alone."""
    return process_index() == 0


def process_count() -> int:
    """The number of processes of the job, 1 if none were joined; does not initialise JAX's devices."""
    import jax

    return jax.process_count() if jax.distributed.is_initialized() else 1


def process_index() -> int:
    """The number of this process in its job, 0 if none were joined; does not initialise JAX's devices."""
    import jax

    return jax.process_index() if jax.distributed.is_initialized() else 0


def wait_for_first(done: Callable[[], bool], what: str) -> None:
    """Waits until the first process, which alone makes `what`, has made it."""
    say(f"waiting for {what}")
    while not done():
        time.sleep(0.2)


def wait_until_seen(path: Path) -> None:
    """Waits until a file of another host appears, or a network file system has had enough time to show it."""
    deadline = time.monotonic() + _SEEN_WITHIN
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def wait_for_all(reason: str) -> None:
    """Returns when every process of the job has called this with the same `reason`."""
    if process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(reason)


def true_on_all(here: bool) -> bool:
    """Whether `here` is true on every process; all get the same answer."""
    if process_count() == 1:
        return here
    import numpy as np
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(np.array([here])).all())


def _meet() -> None:
    """Returns when every process has called this as often. A collective of CPUs gives up after half an hour, and lets
    no signal through while it waits."""
    if process_count() == 1:
        return
    from jax._src import distributed

    client, place = distributed.global_state.client, f"gr2_jax/meetings/{next(_meetings)}"
    client.key_value_set(f"{place}/{process_index()}", "here")
    while len(client.key_value_dir_get(place)) < process_count():
        time.sleep(0.05)


def on_all(make: Callable[[], T]) -> T:
    """What `make` returns on this process; where it raises `UserError`, or `OSError`, on one process, every process
    raises `UserError`, so that none waits for one that has turned back. However long it takes, the others wait."""
    try:
        made, error = make(), None
    except UserError as raised:
        made, error = None, raised
    except OSError as raised:
        made, error = None, UserError(f"{raised.filename or 'a file'} cannot be used: {reason_of(raised)}")
    _meet()
    if not true_on_all(error is None):
        raise error or UserError("another process of this job cannot do it, and says why")
    return made


def texts_of_all(text: str) -> list[str]:
    """The text of every process, in their order; each gets the same list. Texts are cut after 2,000 bytes of UTF-8."""
    if process_count() == 1:
        return [text]
    import numpy as np
    from jax.experimental import multihost_utils

    row = np.zeros(_TEXT, np.uint8)
    written = np.frombuffer(text.encode()[:_TEXT], np.uint8)
    row[: len(written)] = written
    rows = multihost_utils.process_allgather(row)
    return [bytes(each).rstrip(b"\0").decode("utf-8", "ignore") for each in rows]


def of_first(value: int) -> int:
    """The first process's value, on every process."""
    if process_count() == 1:
        return value
    import numpy as np
    from jax.experimental import multihost_utils

    return int(multihost_utils.broadcast_one_to_all(np.array(value)))


def agree(directory: Path, settings: str) -> None:
    """Checks that all processes do the same work: each raises `UserError`, naming the first host whose `settings` (a
    fingerprint) differ from those of host 0, or which does not see the same `directory`."""
    if process_count() == 1:
        return
    import numpy as np
    from jax.experimental import multihost_utils

    number = int(multihost_utils.broadcast_one_to_all(np.uint32(secrets.randbits(32))))
    mark = directory / f".shared-{number:08x}"
    if is_first():
        mark.touch()
        buckets.push(mark)
    multihost_utils.sync_global_devices(f"marked {mark.name}")
    buckets.pull(mark)
    wait_until_seen(mark)
    mine = np.array([mark.exists(), int(settings[:8], 16)], np.int64)
    all_of_them = multihost_utils.process_allgather(mine)
    if is_first():
        mark.unlink()
        buckets.push(mark)
    for host, (sees, fingerprint) in enumerate(all_of_them.tolist()):
        if not sees:
            raise UserError(
                f"host {host} does not see {buckets.shown(directory)} of host 0: all hosts must share the workdir"
            )
        if fingerprint != all_of_them[0, 1]:
            raise UserError(f"host {host} was started with other settings than host 0: all hosts need the same")


class Preemption:
    """`with Preemption() as preemption: ... preemption.requested()`: whether any process has received SIGTERM.

    With `jax.distributed`, all processes must ask equally often and get the same answer. Without it, SIGTERM does not
    end the program inside the `with`. Outside the main thread no signal can be caught: the answer is always no.
    """

    def __enter__(self) -> "Preemption":
        import jax

        self._came = False
        self._catches = not jax.distributed.is_initialized() and threading.current_thread() is threading.main_thread()
        if self._catches:
            self._before = signal.signal(signal.SIGTERM, self._notice)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._catches:
            signal.signal(signal.SIGTERM, self._before)

    def requested(self) -> bool:
        import jax

        if jax.distributed.is_initialized():
            from jax.experimental import multihost_utils

            return multihost_utils.reached_preemption_sync_point(next(_turns))
        return self._came

    def _notice(self, number: int, frame: FrameType | None) -> None:
        self._came = True
