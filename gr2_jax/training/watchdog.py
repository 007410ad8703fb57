"""Naming the host that all others wait for.

A step ends when every host has done its part, so a pod with one slow disk stands still and says nothing. Each host
notes in a file what it is about to do; when a host has seen no step end for a while, it reads the others' notes.
"""

import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

from gr2_jax.progress import say


class Watchdog:
    """`with Watchdog(directory, host, hosts, patience) as dog: dog.note(step, "data")`; `patience` in seconds.

    After as long without a note of its own, the first host says which hosts are behind, and again after as long.
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
        written, said = None, self._noted
        while not self._over.wait(min(1.0, self._patience / 4)):
            if self._last is not written:
                written = self._last
                path = self._directory / f"{self._host}.json"
                path.with_suffix(".partial").write_text(json.dumps(written))
                os.replace(path.with_suffix(".partial"), path)
            since = max(self._noted, said)
            if self._host == 0 and time.monotonic() - since > self._patience:
                said = time.monotonic()
                say(f"no step for {time.monotonic() - self._noted:.0f} s: {late_hosts(self._directory, self._hosts)}")


def late_hosts(directory: Path, hosts: int) -> str:
    """Who is behind, by the notes in `directory`: the hosts at the least step, and those without a note."""
    notes = {}
    for host in range(hosts):
        try:
            notes[host] = json.loads((directory / f"{host}.json").read_text())
        except (OSError, ValueError):
            return f"host {host} of {hosts} has said nothing yet"
    least, most = (bound(note["step"] for note in notes.values()) for bound in (min, max))
    if least == most and len({note["doing"] for note in notes.values()}) == 1:
        return f"all {hosts} hosts are at step {least}, {notes[0]['doing']}"
    behind = {host: note for host, note in notes.items() if note["step"] == least}
    if least == most:  # at the same step the one that is not yet waiting in it
        behind = {host: note for host, note in notes.items() if note["doing"] != "step"}
    said = [f"host {host} ({note['name']}) is at step {least}, {note['doing']}" for host, note in behind.items()]
    return f"{', '.join(said)}; the others are at step {most}"
