"""Runs that lend what they finished: while a study works on a point, its other points lend theirs.

A finished stage is a function of its fingerprint, so that one with the same name and fingerprint in another run is the
one that this run would make. Its files get a second name here, or are copied where the disk has no second names.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gr2_jax.buckets import url_of
from gr2_jax.files import put_in_place, writing
from gr2_jax.training.metrics_log import FILE as LOG

_lenders: dict[Path, tuple[Path, ...]] = {}


@contextmanager
def lending(borrower: Path, lenders: Sequence[Path]) -> Iterator[None]:
    """In the block the runs `lenders` lend to the run in `borrower`, the first that can. Nothing is lent in a bucket,
    which has no second names, and where Orbax keeps the checkpoints itself."""
    _lenders[borrower] = tuple(lenders)
    try:
        yield
    finally:
        del _lenders[borrower]


def borrow(directory: Path, finished: Callable[[Path], bool]) -> bool:
    """Takes over the first lender's directory of the same place in its run that is `finished`, whole or not at all.
    False where nobody lends one, or where there is a directory already: what is there is gone on with."""
    borrower = next((root for root in _lenders if directory.is_relative_to(root)), None)
    if borrower is None or directory.exists() or url_of(directory) is not None:
        return False
    place = directory.relative_to(borrower)
    found = next((root / place for root in _lenders[borrower] if finished(root / place)), None)
    if found is None:
        return False
    partial = directory.with_name(directory.name + ".partial")
    with writing(directory):
        shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
        partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copytree(found, partial, copy_function=_second_name)
            put_in_place(partial, directory)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return True


def _second_name(file: str, name: str) -> None:
    """Files of finished stages are replaced, not written into, and so may have two names; lines are added to a log."""
    if os.path.basename(file) != LOG:
        try:
            os.link(file, name)
            return
        except OSError:  # another disk, or one without second names
            pass
    shutil.copy2(file, name)
