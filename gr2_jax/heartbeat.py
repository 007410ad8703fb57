"""Hosts that die or hang: the others name them, and end within seconds with a code after which the job starts again.

JAX ends them. Its coordination service, on host 0, expects a heartbeat from every process; after `heartbeat_seconds()`
without one it aborts all processes (exit code 134), and a process that host 0 no longer answers aborts itself. JAX's
threads hold no lock of Python's, so neither a compilation nor a long call of a library is taken for a hang. This module
adds the name: each process also counts, about once a second, in the service's key-value store, and host 0 says whose
count stands still. That is a message and ends nothing, because Python may stand still where the host is well.
"""

import atexit
import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from gr2_jax.errors import UserError
from gr2_jax.terminal import warn

VARIABLE = "GR2_HEARTBEAT_SECONDS"
"""Seconds without a heartbeat after which a host counts as lost; 12 by default."""

_SECONDS, _LEAST = 12, 4  # a loss is seen after half of it to all of it, so by default within 15 s
_NAMED_AFTER = 0.4  # of the seconds: before JAX ends the processes
_BEATS, _NEWS = "gr2_jax/beats", "gr2_jax/news"
_LEFT = "left"
_FOREVER = 10**9  # milliseconds


def heartbeat_seconds() -> int:
    """What `GR2_HEARTBEAT_SECONDS` says. Raises `UserError` unless it is a whole number of at least 4."""
    text = os.environ.get(VARIABLE, "").strip() or str(_SECONDS)
    if not (text.isascii() and text.isdigit()) or int(text) < _LEAST:
        raise UserError(f"{VARIABLE} is '{text}': it must be a whole number of seconds, at least {_LEAST}")
    return int(text)


class Roll:
    """Which hosts were heard from, and when; times are seconds of one clock.

    hosts     the number of hosts of the job
    patience  seconds without a new count after which a host is late
    """

    def __init__(self, hosts: int, patience: float, now: float):
        self._patience = patience
        self._heard = dict.fromkeys(range(hosts), (now, "", ""))  # time, count, name
        self._late: set[int] = set()

    def hear(self, host: int, count: str, name: str, now: float) -> None:
        """Notes a host's count; one that left as it should is no longer expected."""
        if count == _LEFT:
            self._heard.pop(host, None)
        elif host in self._heard and self._heard[host][1] != count:
            self._heard[host] = now, count, name

    def news(self, now: float) -> list[str]:
        """A sentence for each host that has become late, or is heard from again, since the last call."""
        sentences = []
        for host, (heard, _, name) in self._heard.items():
            who = f"host {host}" + (f" ({name})" if name else "")
            late = now - heard > self._patience
            if late and host not in self._late:
                sentences.append(f"{who} has not been heard from for {now - heard:.0f} s")
            elif not late and host in self._late:
                sentences.append(f"{who} is heard from again")
            (self._late.add if late else self._late.discard)(host)
        return sentences


class Watch:
    """Counts for this host, and names lost hosts on stderr. Start it once all processes have joined.

    client   JAX's client of the coordination service
    seconds  after which JAX ends the job
    """

    def __init__(self, client: Any, host: int, hosts: int, seconds: int):
        self._client, self._host, self._seconds = client, host, seconds
        self._over, self._named = threading.Event(), threading.Event()
        self._period = min(1.0, seconds / 12)
        self._answered = time.monotonic()
        self._roll = Roll(hosts, seconds * _NAMED_AFTER, self._answered) if host == 0 else None
        self._others, self._told, self._first = range(1, hosts), 0, "host 0"
        works = [self._beat, self._look] + ([] if host == 0 else [self._listen])
        self._threads = [threading.Thread(target=work, daemon=True, name="heartbeat") for work in works]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        atexit.register(self.stop)  # a thread that is in JAX when Python ends would abort the program

    def stop(self) -> None:
        """Says that this host leaves as it should, and ends the threads."""
        if self._over.is_set():
            return
        self._over.set()
        if self._answers():
            self._count(_LEFT)
            if self._host:
                self._client.key_value_set(f"{_NEWS}/{self._host}/{self._told}", "", allow_overwrite=True)
        for thread in self._threads:
            thread.join(timeout=self._seconds)

    def wait_for_name(self) -> None:
        """Returns when a lost host has been named, or JAX would have ended this process."""
        self._named.wait(self._seconds + 2)
        time.sleep(self._period)  # host 0, which the others hear it from, must not leave first

    def _beat(self) -> None:
        count = 0
        while not self._over.is_set():
            try:
                self._count(str(count))
                if self._roll is not None:
                    self._hear()
                elif self._first == "host 0":
                    self._learn_name()
            except Exception:  # host 0 is gone: JAX ends this process
                return
            self._answered, count = time.monotonic(), count + 1
            self._over.wait(self._period)

    def _count(self, count: str) -> None:
        name = socket.gethostname() or "?"
        self._client.key_value_set(f"{_BEATS}/{self._host}", f"{count} {name}", allow_overwrite=True)

    def _hear(self) -> None:
        for key, value in self._client.key_value_dir_get(_BEATS):
            count, _, name = value.partition(" ")
            self._roll.hear(int(key.rpartition("/")[2]), count, name, time.monotonic())

    def _learn_name(self) -> None:
        with suppress(Exception):  # it has not counted yet
            self._first = f"host 0 ({self._client.key_value_try_get(f'{_BEATS}/0').split()[1]})"

    def _look(self) -> None:
        while not self._over.wait(self._period / 2):
            if self._roll is not None:
                if self._answers():  # else it is this process that stood still
                    self._tell(self._roll.news(time.monotonic()))
            elif not self._answers():
                self._say(f"{self._first} has not been heard from for {time.monotonic() - self._answered:.0f} s")
                return

    def _answers(self) -> bool:
        return time.monotonic() - self._answered < self._seconds * _NAMED_AFTER

    def _tell(self, sentences: list[str]) -> None:
        for sentence in sentences:
            try:
                for host in self._others:
                    self._client.key_value_set(f"{_NEWS}/{host}/{self._told}", sentence, allow_overwrite=True)
            except Exception:
                return
            self._told += 1
            self._say(sentence)

    def _listen(self) -> None:
        """Prints what host 0 says."""
        while True:
            try:
                sentence = self._client.blocking_key_value_get(f"{_NEWS}/{self._host}/{self._told}", _FOREVER)
            except Exception as error:
                # cancelled: this process has left JAX's service itself
                if not (self._over.is_set() or self._named.is_set() or "CANCELLED" in str(error)):
                    self._say(f"{self._first} is gone")
                return
            if not sentence:
                return
            self._told += 1
            self._say(sentence)

    def _say(self, sentence: str) -> None:
        warn(sentence)
        self._named.set()
