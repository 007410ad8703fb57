"""Orbax at our border: it says nothing about errors that it raises, and takes no more memory than a folder can fill."""

import logging
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from gr2_jax.errors import UserError

_ORBAX = f"{os.sep}orbax{os.sep}"
# Bytes in memory: always as many as the first, and at most the second times those on disk, where zeros shrink so far.
_ALWAYS, _RATIO = 1 << 28, 1000


@contextmanager
def quietly() -> Iterator[None]:
    """Hides what Orbax's threads print about a save or a restore that fails: it is raised as well, once. Its coroutines
    that were cut short complain when they are deleted, perhaps as the program ends: that is hidden from then on."""
    logger, own, before = logging.getLogger("absl"), _NoFailures(), sys.unraisablehook
    logger.addFilter(own)
    sys.unraisablehook = before if isinstance(before, _Hook) else _Hook(before)
    try:
        yield
        sys.unraisablehook = before
    finally:
        logger.removeFilter(own)


def check_claim(folder: Path, tree: Any) -> None:
    """Raises `UserError` where arrays of the shapes that a file names are more than the folder's files can hold."""
    claimed = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if claimed > max(_ALWAYS, _RATIO * held):
        raise UserError(f"{folder} is damaged: it promises arrays of {claimed:,} bytes and has {held:,}")


class _NoFailures(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno < logging.ERROR or _ORBAX not in record.pathname


class _Hook:
    """Python's hook for errors that nobody can catch, without those of Orbax's coroutines."""

    def __init__(self, before: Any):
        self._before = before

    def __call__(self, unraisable: Any) -> None:
        code = getattr(unraisable.object, "cr_code", None) or getattr(unraisable.object, "ag_code", None)
        of_orbax = code is not None and _ORBAX in code.co_filename
        if not of_orbax and str(unraisable.exc_value) != "Event loop is closed":
            self._before(unraisable)
