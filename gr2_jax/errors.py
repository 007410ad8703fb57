"""The one exception that a user's own input can cause."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input, said in one sentence: what is wrong, where, and the nearest valid thing.

    The command line prints the sentence and exits with code 2; a library caller may catch it.
    """


def nearest(name: str, valid: Iterable[str]) -> str:
    """Returns a hint such as `did you mean 'seed'?`, or the valid names where none is close."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"valid here: {', '.join(names)}"


RESTART = 75  # sysexits' EX_TEMPFAIL: whoever started the command is to start it again


LOST = 134  # as of a program that aborts: another process of the job is gone, and the job is to be started again


class Preempted(Exception):
    """Raised by work that was asked to leave and has stopped where the same command goes on: exit code `RESTART`."""
