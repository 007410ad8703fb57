"""One run on disk: where everything lies, and stages that are done once, wholly, or not at all."""

import dataclasses
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gr2_jax.distributed import is_first, wait_for_first
from gr2_jax.errors import UserError

STAGE_FILE = "stage.json"
STAGE_FORMAT = 5  # raise it when a stage writes other bytes for the same settings


@dataclasses.dataclass(frozen=True)
class Workdir:
    """The paths of a run. `Workdir(root).create()` refuses a place that cannot be written, in one sentence."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.json"

    @property
    def corpus(self) -> Path:
        return self.root / "corpus"

    @property
    def vocabulary(self) -> Path:
        return self.root / "vocabulary"

    @property
    def examples(self) -> Path:
        return self.root / "examples"

    def docids(self, scheme: str) -> Path:
        return self.root / "docids" / scheme

    def quality(self, scheme: str) -> Path:
        return self.root / "quality" / scheme

    @property
    def generated(self) -> Path:
        return self.root / "generated"

    def candidates(self, scheme: str) -> Path:
        return self.root / "candidates" / scheme

    def checkpoints(self, name: str) -> Path:
        return self.root / "checkpoints" / name

    def negatives(self, system: str) -> Path:
        return self.root / "negatives" / system

    def searched(self, name: str) -> Path:
        return self.root / "searched" / name

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics"

    @property
    def report(self) -> Path:
        return self.root / "report"

    def create(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".writable-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise UserError(f"the workdir {self.root} cannot be written ({error.strerror}): give another") from error


def digest(value: Any) -> str:
    """A short fingerprint of a JSON-able value (dataclasses included) under this version of the stages."""
    text = json.dumps([STAGE_FORMAT, value], sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no fingerprint")


def is_done(directory: Path, fingerprint: str) -> bool:
    """Whether `directory` holds the finished output of the stage with this fingerprint."""
    try:
        return json.loads((directory / STAGE_FILE).read_text()).get("fingerprint") == fingerprint
    except (OSError, ValueError):
        return False


def run_stage(directory: Path, fingerprint: str, build: Callable[[Path], None]) -> bool:
    """Calls `build` with an empty directory beside `directory` and renames it when whole; False if it was done before.

    Of several processes of a job the first builds and the others wait. A stage killed at any point leaves nothing
    half-made under its own name, and is built anew when asked again. Raises `UserError` rather than replace a directory
    that no stage made.
    """
    if is_done(directory, fingerprint):
        return False
    if not is_first():
        wait_for_first(lambda: is_done(directory, fingerprint), str(directory))
        return True
    if directory.exists() and not (directory / STAGE_FILE).exists():
        raise UserError(f"{directory} is in the way and was not made by this program: give another --workdir")
    partial, old = (directory.with_name(directory.name + end) for end in (".partial", ".old"))
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        build(partial)
        write_json(partial / STAGE_FILE, {"fingerprint": fingerprint})
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if directory.exists():
        os.replace(directory, old)
    os.replace(partial, directory)
    shutil.rmtree(old, ignore_errors=True)
    return True


def read_json(path: Path) -> Any:
    """What `write_json` wrote; `UserError` names a file that is missing or no JSON."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from error


def write_json(path: Path, value: Any) -> None:
    """Indented JSON with sorted keys, written beside and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}.partial")  # hosts may write the same
    partial.write_text(json.dumps(value, indent=1, sort_keys=True, default=_plain) + "\n")
    os.replace(partial, path)
