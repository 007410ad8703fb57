"""A stage of a run: a directory that is made once, wholly, or not at all, under the fingerprint of what decides it."""

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gr2_jax.buckets import pull, push, shown, url_of
from gr2_jax.checksums import check_files, checksums_of, sealed, unsealed
from gr2_jax.errors import UserError
from gr2_jax.files import plain, put_in_place, read_json, reading, write_json, writing
from gr2_jax.hosts import is_first, of_first, wait_for_first
from gr2_jax.pipeline.lending import borrow
from gr2_jax.pipeline.watching import part

STAGE_FILE = "stage.json"
_LOGS = ("metrics.jsonl", "validation.jsonl")
_BETWEEN_LOOKS = 1.0  # seconds between looks into a bucket
_CHECKSUMS = "crc32"
_FORMAT = 7  # raise it when a stage writes other bytes for the same settings


def fingerprint_of(value: Any) -> str:
    """A short fingerprint of a JSON-able value under this version of the stages; dataclasses count with their kind."""
    text = json.dumps([_FORMAT, value], sort_keys=True, default=_with_kind)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _with_kind(value: Any) -> Any:
    written = plain(value)
    return {"kind": type(value).__name__} | written if dataclasses.is_dataclass(value) else written


@dataclasses.dataclass(frozen=True)
class Stage:
    """`directory`, which holds the output of the stage once its stage.json names `fingerprint`.

    What is made at once is built: `stage.build(function)`. A training, which is continued from its checkpoints, begins
    and finishes: `stage.begin(about)`, then `stage.finish(meta)`.
    """

    directory: Path
    fingerprint: str

    @property
    def done(self) -> bool:
        try:
            return current_fingerprint(self.directory) == self.fingerprint
        except UserError:
            return False

    def take_over(self) -> bool:
        """Whether the stage is done, here or in a run that lends it (`gr2_jax.pipeline.lending`), from which it is then
        taken over. Every process of a job calls this, and all hear the same."""
        return bool(of_first(is_first() and (self.done or self._borrowed())))

    def _borrowed(self) -> bool:
        return borrow(self.directory, lambda lent: Stage(lent, self.fingerprint).done)

    def build(self, make: Callable[[Path], None]) -> bool:
        """Calls `make` with an empty directory beside this one and renames it when whole; False if it was done before,
        here or in a run that lends it.

        Of several processes of a job the first builds and the others wait. A build that is killed leaves nothing under
        the stage's own name, and is repeated when asked again. Raises `UserError` rather than replace a directory that
        no stage made.
        """
        if self.done:
            return False
        if not is_first():
            wait_for_first(self._arrived, shown(self.directory))
            return True
        if self._borrowed():
            return False
        if self.directory.exists() and url_of(self.directory) is None and not (self.directory / STAGE_FILE).exists():
            raise UserError(f"{self.directory} already exists and was not created by gr2: give another --workdir")
        partial = self.directory.with_name(self.directory.name + ".partial")
        with writing(self.directory):
            shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
            partial.mkdir(parents=True)
            try:
                with part(self.directory):
                    make(partial)
                _write_record(partial, _with_checksums(partial, {"fingerprint": self.fingerprint}))
                put_in_place(partial, self.directory)
                push(self.directory)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        return True

    def _arrived(self) -> bool:
        """Whether the first process is done; where the workdir is in a bucket, what it made is here then, too."""
        if url_of(self.directory) is not None:
            time.sleep(_BETWEEN_LOOKS)
            pull(self.directory / STAGE_FILE)
            if self.done:
                pull(self.directory)
        return self.done

    def begin(self, about: dict[str, Any]) -> None:
        """Writes what readers of unfinished work need, such as the model's shape; the stage is not done by that."""
        self._write(about)

    def finish(self, meta: dict[str, Any]) -> None:
        """Adds `meta` to what `begin` wrote, and with the fingerprint the stage is done."""
        record = {**self.meta, **meta, "fingerprint": self.fingerprint}
        self._write(_with_checksums(self.directory, record))

    def _write(self, record: dict[str, Any]) -> None:
        _write_record(self.directory, record)
        if is_first():
            push(self.directory)

    @property
    def meta(self) -> dict[str, Any]:
        """What was noted of the stage; `UserError` where there is no stage.json, or a damaged one."""
        return {key: value for key, value in _record(self.directory).items() if key != _CHECKSUMS}


def current_fingerprint(directory: Path) -> str:
    """The fingerprint of the stage whose output is in `directory` now; `UserError` where there is none."""
    with reading(directory / STAGE_FILE):
        return str(_record(directory)["fingerprint"])


@contextmanager
def reading_stage(directory: Path, file: str, *others: str) -> Iterator[Path]:
    """Yields the path of a file that a stage left in `directory`, or of the directory for the name ""; what goes wrong
    in the block with it, or with the `others` beside it, becomes a `UserError` that says how to make it again, as does
    a file whose bytes are no longer those that the stage wrote."""
    with reading(directory / file, f"; to make it again, delete {shown(directory)} and start the run's command"):
        if (directory / STAGE_FILE).is_file():
            noted = _record(directory).get(_CHECKSUMS, {})
            check_files(directory, {name: noted[name] for name in noted if file == "" or name in (file, *others)})
        yield directory / file


def _with_checksums(directory: Path, record: dict[str, Any]) -> dict[str, Any]:
    """With those of the files in the directory, but for logs and what other processes are writing; folders in it,
    tries, examples and checkpoints, have checksums of their own."""
    files = (path for path in directory.iterdir() if not path.name.startswith(STAGE_FILE) and path.name not in _LOGS)
    files = (path for path in files if path.is_file() and path.suffix != ".partial")
    return record | {_CHECKSUMS: checksums_of(directory, files)}


def _write_record(directory: Path, record: dict[str, Any]) -> None:
    write_json(directory / STAGE_FILE, sealed(record))


def _record(directory: Path) -> dict[str, Any]:
    record = read_json(directory / STAGE_FILE)
    if not isinstance(record, dict):
        raise UserError(f"{directory / STAGE_FILE} is not the record of a stage")
    return unsealed(record, directory / STAGE_FILE)
