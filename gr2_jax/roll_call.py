"""Before JAX connects the processes of a job, each calls host 0, which names those that are late.

JAX's own wait ends in an abort that names nobody.
"""

import select
import socket
import time
from contextlib import suppress

from gr2_jax.errors import Lost, UserError
from gr2_jax.progress import say

_SAID_EVERY = 15.0  # seconds
_GREETING, _GO = "gr2_jax", "go"
_LINE = 400  # bytes of a message at most
_CALL = 5.0  # seconds for a caller to say who it is


def call_roll(address: str, count: int, place: int, patience: float) -> None:
    """Returns when all `count` processes have called host 0 at `address` (host:port), where JAX will listen next.

    Raises:
        UserError: Nobody answers at the address within `patience` seconds, or host 0 cannot listen there.
        Lost: Some processes have not called within that time; all that have raise it, with the same sentence.
    """
    host, _, port = address.rpartition(":")
    if place:
        _call(host.strip("[]"), int(port), place, patience, address)
        return
    try:
        with _listening(int(port)) as listener:
            _receive(listener, address, count, patience)
    except OSError as error:
        raise UserError(f"host 0 cannot listen at {address}: {error.strerror or error}") from error


def wait_for_answer(address: str, patience: float) -> None:
    """Waits until somebody listens; JAX's own client also waits, but aborts the program if nobody does."""
    host, _, port = address.rpartition(":")
    _connect(host.strip("[]"), int(port), time.monotonic() + patience, address, patience).close()


def _listening(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
        except OSError:  # a container without IPv6
            pass
    return socket.create_server(("", port), backlog=1024)


def _receive(listener: socket.socket, address: str, count: int, patience: float) -> None:
    """Waits for every call; a caller that hangs up is expected again."""
    begun = said = time.monotonic()
    here: dict[int, tuple[socket.socket, str]] = {}
    while len(here) < count - 1:
        now = time.monotonic()
        if now - begun > patience:
            sentence = f"{_names(here, count)} joined at {address} within {patience:.0f} s"
            _answer(here, sentence)
            raise Lost(sentence)
        if now - said > _SAID_EVERY:
            said = now
            say(f"{now - begun:.0f} s: {_names(here, count)} joined yet")
        ready, _, _ = select.select([listener, *(caller for caller, _ in here.values())], [], [], 0.5)
        if gone := [place for place, (caller, _) in here.items() if caller in ready]:
            for place in gone:
                here.pop(place)[0].close()
        if listener in ready:
            caller, _ = listener.accept()
            words = _heard(caller).split()
            if len(words) == 3 and words[0] == _GREETING and words[1].isdigit() and 0 < int(words[1]) < count:
                here[int(words[1])] = caller, words[2]
            else:
                caller.close()  # no process of a job
    _answer(here, _GO)


def _names(here: dict[int, tuple[socket.socket, str]], count: int) -> str:
    late = [str(place) for place in range(1, count) if place not in here]
    shown = ", ".join(late[:8]) + (f" and {len(late) - 8} more" if len(late) > 8 else "")
    return f"host{'s' * (len(late) > 1)} {shown} of {count} {'have' if len(late) > 1 else 'has'} not"


def _answer(here: dict[int, tuple[socket.socket, str]], text: str) -> None:
    for caller, _ in here.values():
        with suppress(OSError):  # gone; JAX's own wait for it ends
            caller.sendall(f"{text}\n".encode())
        caller.close()


def _call(host: str, port: int, place: int, patience: float, address: str) -> None:
    deadline = time.monotonic() + patience
    while True:
        with _connect(host, port, deadline, address, patience) as line:
            try:
                line.sendall(f"{_GREETING} {place} {socket.gethostname() or '?'}\n".encode())
                answer = _heard(line, patience + _CALL)
            except OSError:
                answer = ""
        if answer == _GO:
            return
        if answer:
            raise Lost(answer)
        if time.monotonic() > deadline:
            raise Lost(f"{address} answers, but not as host 0 of this job, within {patience:.0f} s")
        time.sleep(0.5)  # host 0 hung up before all were there: it may be starting again


def _connect(host: str, port: int, deadline: float, address: str, patience: float) -> socket.socket:
    while True:
        try:
            return socket.create_connection((host, port), timeout=5)
        except OSError as error:
            if time.monotonic() > deadline:
                raise UserError(f"nobody answers at {address} within {patience:.0f} s: {error}") from error
        time.sleep(0.1)


def _heard(line: socket.socket, seconds: float = _CALL) -> str:
    """One line of text, "" where none comes."""
    line.settimeout(seconds)
    text = b""
    try:
        while not text.endswith(b"\n") and len(text) < _LINE:
            part = line.recv(_LINE)
            if not part:
                return ""
            text += part
    except OSError:
        return ""
    return text.decode("utf-8", "replace").strip()
