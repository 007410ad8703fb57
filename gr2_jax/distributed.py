"""Several processes as one job."""

import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from gr2_jax.errors import UserError
from gr2_jax.progress import be_quiet, say

_VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
_CLUSTER = "GR2_CLUSTER"
_PATIENCE = 60  # seconds, for the others to come
_CLUSTER_PATIENCE = 600  # a cluster's may still be loading their image
_SEEN_WITHIN = 20  # seconds, after which a network file system shows what another host wrote


def join_processes() -> bool:
    """Joins the processes that the environment names (host:port of the first, their number, this one's place), or with
    GR2_CLUSTER=auto those that JAX itself finds (TPU VMs, Slurm, Kubernetes), before JAX is used; without such
    variables this process is alone. Returns whether it is the first; the others say nothing from here on.

    Raises:
        UserError: Some of the variables are missing or no numbers, or nobody answers at the address within a minute.
    """
    import jax

    given = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    how = os.environ.get(_CLUSTER, "")
    if how not in ("", "auto"):
        raise UserError(f"{_CLUSTER} is '{how}': it must be auto, or not set")
    if not given and not how:
        return True
    if given and (missing := [name for name in _VARIABLES if name not in given]):
        raise UserError(
            f"{next(iter(given))} is set and {missing[0]} is not: several processes need {', '.join(_VARIABLES)}"
        )
    said = ", ".join(f"{name}={value}" for name, value in given.items()) or f"{_CLUSTER}=auto"
    try:
        address, count, place = given.values() if given else (None, None, None)
        numbers = (None, None) if count is None else (int(count), int(place))
        if address is not None:
            say(f"process {place} of {count} joins the others at {address}")
            if int(place):
                _wait_for_answer(address)
        jax.distributed.initialize(address, *numbers, initialization_timeout=_PATIENCE if given else _CLUSTER_PATIENCE)
    except ValueError as error:
        raise UserError(f"{said}: {error}") from error
    except RuntimeError as error:
        raise UserError(f"could not join the others ({said}): {' '.join(str(error).split())}") from error
    if jax.process_index():
        be_quiet()
    return jax.process_index() == 0


def _wait_for_answer(address: str) -> None:
    """JAX's own client, which waits as well, ends the program where nobody answers it."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise UserError(f"nobody answers at {address} within {_PATIENCE} s: {error}") from error
        time.sleep(0.5)


def is_first() -> bool:
    """Whether this process is the first of its job, or alone."""
    import jax

    return not jax.distributed.is_initialized() or jax.process_index() == 0


def process_count() -> int:
    """Of the job; 1 where nothing was joined, without starting JAX's devices."""
    import jax

    return jax.process_count() if jax.distributed.is_initialized() else 1


def wait_for_first(done: Callable[[], bool], what: str) -> None:
    """Until the first process, which alone works on it, has made `what`."""
    say(f"waiting for {what}")
    while not done():
        time.sleep(0.2)


def wait_until_seen(path: Path) -> None:
    """Until what another host has written is there, or a network file system has had time enough to show it."""
    deadline = time.monotonic() + _SEEN_WITHIN
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def agree(directory: Path, settings: str) -> None:
    """That all processes were started for the same: raises `UserError` on each, naming the first that was given other
    `settings` (a fingerprint) than the first process, or that does not see the same `directory`."""
    if process_count() == 1:
        return
    import numpy as np
    from jax.experimental import multihost_utils

    number = int(multihost_utils.broadcast_one_to_all(np.uint32(secrets.randbits(32))))
    mark = directory / f".shared-{number:08x}"
    if is_first():
        mark.touch()
    wait_until_seen(mark)
    mine = np.array([mark.exists(), int(settings[:8], 16)], np.int64)
    all_of_them = multihost_utils.process_allgather(mine)
    if is_first():
        mark.unlink()
    for host, (sees, fingerprint) in enumerate(all_of_them.tolist()):
        if not sees:
            raise UserError(f"host {host} does not see {directory} of the first host: all must share the workdir")
        if fingerprint != all_of_them[0, 1]:
            raise UserError(f"host {host} was started with other settings than the first: all must be given the same")
