"""Where everything of a run is on disk."""

import dataclasses
import os
from pathlib import Path

from gr2_jax.buckets import push, shown, url_of
from gr2_jax.errors import UserError
from gr2_jax.experiment.row import OLD
from gr2_jax.hosts import is_first, process_count

_MARK = ".gr2"


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

    @property
    def pieces(self) -> Path:
        """The texts and vectors of a large collection until they are joined."""
        return self.root / "pieces"

    def vector_pieces(self, row: str) -> Path:
        return self.pieces / row

    def docids(self, scheme: str) -> Path:
        return self.root / "docids" / scheme

    def quality(self, scheme: str) -> Path:
        return self.root / "quality" / scheme

    @property
    def generated(self) -> Path:
        return self.root / "generated"

    def candidates(self, scheme: str) -> Path:
        return self.root / "candidates" / scheme

    def checkpoints(self, name: str, fingerprint: str) -> Path:
        return self.root / "checkpoints" / f"{name}-{fingerprint}"

    def vectors(self, row: str) -> Path:
        return self.root / "vectors" / row

    def similarities(self, row: str) -> Path:
        return self.root / "similarities" / row

    def weight(self, row: str) -> Path:
        return self.root / "weights" / row

    def negatives(self, row: str) -> Path:
        return self.root / "negatives" / row

    def searched(self, row: str, fingerprint: str) -> Path:
        return self.root / "searched" / f"{row}-{fingerprint}"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def old_runs(self) -> Path:
        """What the table no longer reads; no row has this name."""
        return self.runs / OLD

    def old_run(self, row: str, fingerprint: str) -> Path:
        return self.old_runs / f"{row}-{fingerprint}"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def exported(self) -> Path:
        """The model that pre-training leaves, for runs to start from."""
        return self.root / "model"

    def fold(self, number: int) -> "Workdir":
        return Workdir(self.root / f"fold-{number}")

    def seed(self, number: int) -> "Workdir":
        return Workdir(self.root / f"seed-{number}")

    def create(self) -> None:
        url = url_of(self.root)
        if url is not None and not url.startswith("gs://") and process_count() > 1:
            raise UserError(
                f"{url} takes the checkpoints of one process only: give several a workdir in gs:// or on a shared disk"
            )
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if url is not None and is_first():
                self._mark(url)
            probe = self.root / f".writable-{os.getpid()}"
            probe.touch()
            push(probe)
            probe.unlink()
            push(probe)
        except OSError as error:
            raise UserError(
                f"the workdir {shown(self.root)} cannot be written ({error.strerror}): give another"
            ) from error

    def _mark(self, url: str) -> None:
        """Marks a bucket's folder as a run's, so that what an interrupted push left there is known to be ours. Raises
        `UserError` for a folder with other files: a stage would replace those in folders of its name."""
        mark = self.root / _MARK
        if mark.is_file():
            return
        if any(self.root.iterdir()) and not self.config.is_file():
            raise UserError(f"{url} holds files of something else: give another --workdir")
        mark.touch()
        push(mark)
