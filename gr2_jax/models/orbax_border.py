"""Orbax at our border: it says nothing about errors that it raises, and takes no more memory than a folder can fill."""

import functools
import logging
import math
import os
import sys
from collections.abc import Callable
from typing import Any

import jax
from etils import epath

from gr2_jax.errors import UserError

_ORBAX = f"{os.sep}orbax{os.sep}"
_STORAGE = "tensorstore_spec"  # in what Orbax's storage says of itself
# Bytes in memory: always as many as the first, and at most the second times those on disk, where zeros shrink so far.
_ALWAYS, _RATIO = 1 << 28, 1000


@functools.cache
def silence() -> None:
    """From here on Orbax prints nothing about a save or a restore that fails: it is raised as well, once. Its threads
    would log it, and its coroutines that were cut short complain when they are deleted, even as the program ends."""
    for name in ("absl", "asyncio"):
        logging.getLogger(name).addFilter(_is_no_failure)
    sys.unraisablehook = functools.partial(_unless_of_orbax, sys.unraisablehook)


def check_claim(folder: os.PathLike, tree: Any) -> None:
    """Raises `UserError` where arrays of the shapes that a file names are more than the folder's files can hold."""
    claimed = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
    held = _size(epath.Path(folder))
    if claimed > max(_ALWAYS, _RATIO * held):
        raise UserError(f"{folder} is damaged: it promises arrays of {claimed:,} bytes and has {held:,}")


def _size(folder: epath.Path) -> int:
    return sum(_size(path) if path.is_dir() else path.stat().length for path in folder.iterdir())


def _is_no_failure(record: logging.LogRecord) -> bool:
    said = record.pathname + record.getMessage()
    return record.levelno < logging.ERROR or (_ORBAX not in said and _STORAGE not in said)


def _unless_of_orbax(before: Callable[[Any], None], unraisable: Any) -> None:
    """Python's hook for errors that nobody can catch, without those of Orbax's coroutines."""
    code = getattr(unraisable.object, "cr_code", None) or getattr(unraisable.object, "ag_code", None)
    of_orbax = code is not None and _ORBAX in code.co_filename
    if not of_orbax and str(unraisable.exc_value) != "Event loop is closed":
        before(unraisable)
