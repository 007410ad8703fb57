"""Names the host that all others wait for.

A step ends when every host has done its part, so one slow disk stalls a pod silently. Each host writes to a file what
it is about to do; when no step has ended for a while, the first host reads these notes and names the late hosts.
"""

import json
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gr2_jax.buckets import pull, push
from gr2_jax.errors import UserError
from gr2_jax.files import write_json
from gr2_jax.progress import say

_SECONDS_BETWEEN_PUSHES = 10.0  # of a note, where the notes are in a bucket


class Watchdog:
    """`with Watchdog(directory, host, hosts, patience) as dog: dog.note(step, "data")`; `patience` in seconds.

    After that long without a note of its own, the first host prints which hosts are behind, and repeats it each time
    that long passes.
    """

    def __init__(self, directory: Path, host: int, hosts: int, patience: float):
        self._directory, self._host, self._hosts, self._patience = directory, host, hosts, patience
        self._over = threading.Event()
        self._noted = time.monotonic()
        self._last = {}

    def __enter__(self) -> "Watchdog":
        if self._hosts > 1 and self._patience:
            self._directory.mkdir(parents=True, exist_ok=True)
            threading.Thread(target=self._watch, daemon=True, name="watchdog").start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._over.set()

    def note(self, step: int, doing: str) -> None:
        self._noted = time.monotonic()
        self._last = {"step": step, "doing": doing, "name": socket.gethostname(), "time": time.time()}

    def _watch(self) -> None:
        written, said, sent = None, self._noted, 0.0
        while not self._over.wait(min(1.0, self._patience / 4)):
            path = self._directory / f"{self._host}.json"
            if self._last is not written:
                written = self._last
                write_json(path, written)
            if time.monotonic() - sent > _SECONDS_BETWEEN_PUSHES:
                sent = time.monotonic()
                with suppress(UserError):  # the next one may arrive
                    push(path)
            since = max(self._noted, said)
            if self._host == 0 and time.monotonic() - since > self._patience:
                said = time.monotonic()
                with suppress(UserError):
                    pull(self._directory)
                say(f"no step for {time.monotonic() - self._noted:.0f} s: {late_hosts(self._directory, self._hosts)}")


def late_hosts(directory: Path, hosts: int) -> str:
    """Names the hosts that are behind by the notes in `directory`: those without a note, or at the lowest step."""
    notes = {}
    for host in range(hosts):
        try:
            notes[host] = json.loads((directory / f"{host}.json").read_text())
        except (OSError, ValueError):
            return f"host {host} of {hosts} has written no note yet"
    least, most = (bound(note["step"] for note in notes.values()) for bound in (min, max))
    if least == most and len({note["doing"] for note in notes.values()}) == 1:
        return f"all {hosts} hosts are at step {least}, {notes[0]['doing']}"
    behind = {host: note for host, note in notes.items() if note["step"] == least}
    if least == most:  # at the same step, the late hosts are those not yet waiting in it
        behind = {host: note for host, note in notes.items() if note["doing"] != "step"}
    said = [f"host {host} ({note['name']}) is at step {least}, {note['doing']}" for host, note in behind.items()]
    return f"{', '.join(said)}; the others are at step {most}"
