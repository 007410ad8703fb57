"""One job at a time in a folder: a lock file that names its holder, and who is known to be gone."""

import dataclasses
import datetime
import fcntl
import json
import os
import re
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gr2_jax import buckets
from gr2_jax.buckets import shown, url_of
from gr2_jax.errors import UserError
from gr2_jax.files import writing
from gr2_jax.hosts import is_first, of_first
from gr2_jax.progress import say

LOCK_FILE = ".lock"
JOB = "GR2_JOB"  # the launch scripts name the job, which they start again only when its processes are gone
_LEAVES_WITHIN = 2.0  # seconds for a process that was asked to leave, or that is writing its lock
_SETTLES = 1.0  # seconds between writing a bucket's lock and reading it back
_SHOWN = 160  # characters of a command


@dataclasses.dataclass(frozen=True)
class Holder:
    """A process: where it runs, since when, for which job and which start of it, and what was typed.

    machine    the machine, and its space of process ids, which a container has for itself; "" where unknown
    boot       changes when the machine starts again
    started    when the process started, in ticks since then; tells it from a later one of the same number
    job        "" without one; GR2_JOB, or the number of Slurm's job
    start      how often Slurm had put its job back into the queue; -1 for GR2_JOB, whose starts nobody counts
    """

    host: str
    machine: str
    boot: str
    pid: int
    started: str
    job: str
    start: int
    since: str
    command: str

    @classmethod
    def here(cls) -> "Holder":
        machine, space = _read("/etc/machine-id"), _link("/proc/self/ns/pid")
        job, start = _job()
        return cls(
            host=socket.gethostname(),
            machine=f"{machine} {space}" if machine and space else "",
            boot=_read("/proc/sys/kernel/random/boot_id"),
            pid=os.getpid(),
            started=_start_of(os.getpid()),
            job=job,
            start=start,
            since=datetime.datetime.now().astimezone().isoformat(" ", "seconds"),
            command=_typed()[:_SHOWN],
        )

    def is_neighbour(self, other: "Holder") -> bool:
        """Whether both have the same host and space of process ids, as far as is known."""
        return (self.host, self.machine) == (other.host, other.machine)

    def is_gone(self, me: "Holder") -> bool:
        """Whether this process certainly runs no more, as `me` sees it. Clocks play no part."""
        if not self.is_neighbour(me):
            # one job of Slurm may run several programs at once; before it starts again it has ended all of them
            return bool(self.job) and self.job == me.job and (me.start < 0 or self.start < me.start)
        if self.boot != me.boot:
            return bool(self.machine)  # else another machine may have the same name
        return not _runs(self.pid) or _start_of(self.pid) != self.started


@contextmanager
def holding(directory: Path, lock: Path | None = None) -> Iterator[None]:
    """Keeps other jobs out of `directory` while the block runs, by the file `lock`, by default .lock in the folder.

    All processes of a job call this; the first holds the lock for them. A lock whose holder is gone is taken over.

    Raises:
        UserError: Another process holds the lock; the sentence says which, since when, and what to do.
    """
    path, me, refused = lock or directory / LOCK_FILE, Holder.here(), None
    job = "jax" in sys.modules  # without JAX this process is alone
    first = not job or is_first()
    if first:
        try:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                _acquire(path, me, directory)
        except (UserError, OSError) as error:
            refused = error  # the others have to hear of it before this process leaves
    if (refused is not None and not job) or (job and not of_first(refused is None)):
        raise refused or UserError(f"{shown(directory)} is in use, as the first process of this job says")
    buckets.pull(directory)  # another job may have worked there since the copy was made
    try:
        yield
    finally:
        if first and _text(path) == _record(me):
            _remove(path)


def _acquire(path: Path, me: Holder, directory: Path) -> None:
    deadline = time.monotonic() + _LEAVES_WITHIN
    while not _created(path, me):
        text = _text(path)
        holder = None if text is None else _parsed(text)
        if holder is not None and holder.is_gone(me):
            if _taken_over(path, text, me):
                say(f"{shown(directory)} was left by process {holder.pid} on {holder.host}, which is gone: going on")
                return
        elif text is not None and time.monotonic() > deadline:
            raise UserError(_refusal(path, holder, me, directory))
        time.sleep(0.05)


def _created(path: Path, me: Holder) -> bool:
    """Whether the lock is now ours; False where there is one. It appears with its contents, where files can have two
    names."""
    if url_of(path) is not None:
        return buckets.write(path, _record(me), new=True)
    own = _own(path, me)
    try:
        own.write_text(_record(me))
        try:
            os.link(own, path)
        except FileExistsError:
            return False
        except OSError:
            return _created_in_place(path, me)
        return True
    finally:
        own.unlink(missing_ok=True)


def _created_in_place(path: Path, me: Holder) -> bool:
    try:
        with path.open("x") as file:
            file.write(_record(me))
    except FileExistsError:
        return False
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _taken_over(path: Path, text: str, me: Holder) -> bool:
    """Replaces the lock with that `text`; False where another process was faster. Only processes of one host, or of one
    job, take over the same lock: flock keeps the former apart, and of a job only the first comes here."""
    if url_of(path) is not None:
        buckets.write(path, _record(me))
        time.sleep(_SETTLES)  # of several that found the same lock the last one to write has it
        return buckets.read(path) == _record(me)
    own = _own(path, me)
    try:
        with path.open("r+") as file:
            with suppress(OSError):  # a file system without such locks
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
            if file.read() != text or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return False
            own.write_text(_record(me))
            os.replace(own, path)
            return True
    except FileNotFoundError:
        return False
    finally:
        own.unlink(missing_ok=True)


def _refusal(path: Path, holder: Holder | None, me: Holder, directory: Path) -> str:
    if holder is None:
        where = f"{shown(directory)} is in use, but {shown(path)} does not say by whom"
        return f"{where}: if nobody is at work there, remove {shown(path)}"
    there = "on this host" if holder.is_neighbour(me) else f"on host {holder.host}"
    who = f"process {holder.pid} {there} has worked there since {holder.since} ({holder.command})"
    hint = "" if holder.is_neighbour(me) else f"; if it is gone, remove {shown(path)}"
    return f"{shown(directory)} is in use: {who}: wait for it, or name another folder{hint}"


def _own(path: Path, me: Holder) -> Path:
    return path.with_name(f"{path.name}.{me.host}-{me.pid}")


def _record(holder: Holder) -> str:
    return json.dumps(dataclasses.asdict(holder), indent=1) + "\n"


def _text(path: Path) -> str | None:
    """The lock's contents; None where there is none."""
    if url_of(path) is not None:
        return buckets.read(path)
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return None


def _remove(path: Path) -> None:
    if url_of(path) is None:
        path.unlink(missing_ok=True)
    else:
        buckets.remove(path)


def _parsed(text: str) -> Holder | None:
    """The holder; None for a lock that is being written, or is damaged."""
    try:
        fields = json.loads(text)
        kinds = {field.name: field.type for field in dataclasses.fields(Holder)}
        if fields.keys() == kinds.keys() and all(type(fields[name]) is kind for name, kind in kinds.items()):
            return Holder(**fields)
    except (ValueError, AttributeError, RecursionError):
        pass
    return None


def _job() -> tuple[str, int]:
    """The job that this process belongs to, and which start of it this is."""
    if given := os.environ.get(JOB):
        return given, -1
    restarts = os.environ.get("SLURM_RESTART_COUNT", "")
    return os.environ.get("SLURM_JOB_ID", ""), int(restarts) if re.fullmatch("[0-9]{1,9}", restarts) else 0


def _typed() -> str:
    program = Path(sys.argv[0]).name if sys.argv else ""
    return shlex.join(["gr2" if program == "__main__.py" else program, *sys.argv[1:]])


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it belongs to somebody else, or is no number of a process
        return True
    return True


def _start_of(pid: int) -> str:
    """The 22nd field of /proc/<pid>/stat; the second may hold blanks and brackets. "" where there is none."""
    stat = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return stat[19] if len(stat) > 19 else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
