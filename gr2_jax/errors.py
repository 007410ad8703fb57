"""Errors for bad input, the checks that settings run on themselves, and exit codes."""

import difflib
import errno
import math
import os
import re
import typing
from collections.abc import Callable, Iterable


class UserError(Exception):
    """Bad input, in one sentence: what is wrong, where, and the nearest valid thing.

    The command line prints the sentence and exits with code 2; a library caller may catch it.
    """


class SettingError(UserError):
    """A section rejects one of its settings. The command line writes `--path.to.field` before `fault`."""

    def __init__(self, section: object, field: str, fault: str):
        super().__init__(f"{type(section).__name__}.{field} {fault}")
        self.field, self.fault = field, fault


class NotInstalled(UserError):
    """What was asked for needs the libraries of an extra, which are missing."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Returns a hint such as `did you mean 'seed'?`, or the valid names if none is close."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"valid here: {', '.join(names)}"


def install(extra: str) -> str:
    """How to get the libraries of an extra, for the end of a message. There is no release: they come from the clone."""
    return f"pip install -e '.[{extra}]' in the clone"


_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # only writing meets these
_SHOWN = 300  # characters of another library's message


def disk_fault(error: BaseException | None) -> str | None:
    """What a disk has against being written ("No space left on device"), whichever library says so and in whichever
    exception, or in the one that led to it; None for every other error."""
    chain: list[BaseException] = []
    while error is not None and not any(error is seen for seen in chain):  # two may be each other's context
        if isinstance(error, OSError) and error.errno in _DISK:
            return os.strerror(error.errno)
        if found := next((os.strerror(code) for code in _DISK if os.strerror(code) in str(error)), None):
            return found
        chain.append(error)
        error = error.__cause__ or error.__context__
    return None


def reason_of(error: BaseException) -> str:
    """Another library's error in one line: the system's words, or the first line of the message, of its first cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    short = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
    kind = type(error).__name__
    return f"{kind}: {short}" if isinstance(error, LookupError) and short else short or kind


def check_least(section: object, least: float, *fields: str) -> None:
    """Raises `SettingError` unless each field is a finite number of at least `least`."""
    for field in fields:
        _check_number(section, field, lambda value: value >= least, f"at least {least}")


def check_above_zero(section: object, *fields: str) -> None:
    """Raises `SettingError` unless each field is a finite number above 0."""
    for field in fields:
        _check_number(section, field, lambda value: value > 0, "above 0")


def check_share(section: object, *fields: str) -> None:
    """Raises `SettingError` unless each field is a number from 0 to 1."""
    for field in fields:
        _check_number(section, field, lambda value: 0 <= value <= 1, "between 0 and 1")


def check_choices(section: object) -> None:
    """Raises `SettingError` if a field declared as a `Literal` or a bool holds something else."""
    for field, hint in typing.get_type_hints(type(section)).items():
        value = getattr(section, field)
        if typing.get_origin(hint) is typing.Literal and value not in typing.get_args(hint):
            raise SettingError(section, field, f"is {value!r}: {nearest(str(value), typing.get_args(hint))}")
        if hint is bool and not isinstance(value, bool):
            raise SettingError(section, field, f"is {value!r}: it must be True or False")


def check_name(section: object, field: str, name: object) -> None:
    """Raises `SettingError` unless the name can be that of a file and of a column: letters, digits and . + - _."""
    if not re.fullmatch(r"\w[\w.+-]*", str(name)) or name == "provenance":
        raise SettingError(section, field, f"is {name!r}: use letters, digits and . + - _")


def _check_number(section: object, field: str, holds: Callable[[float], bool], wanted: str) -> None:
    value, hint = getattr(section, field), typing.get_type_hints(type(section))[field]
    whole = hint is int or int in typing.get_args(hint)
    number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not holds(value):
        kind = "" if number else "a whole number " if whole else "a number "
        raise SettingError(section, field, f"is {value!r}: it must be {kind}{wanted}")


RESTART = 75  # sysexits' EX_TEMPFAIL: the caller should start the command again
LOST = 134  # the code of an aborted program: another process of the job is gone; start the job again


class Lost(Exception):
    """Other hosts of the job are missing, in one sentence that names them: exit code `LOST`, to start the job again."""


class Preempted(BaseException):
    """Raised by work that was asked to stop and has saved its progress: exit code `RESTART`. Like KeyboardInterrupt it
    is no Exception: a signal may come anywhere, and libraries would take it for a fault of what they were doing."""
