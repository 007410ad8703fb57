"""Periodic training metrics: metrics.jsonl, and TensorBoard and Weights & Biases where installed."""

import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gr2_jax.files import write_text, writing

FILE = "metrics.jsonl"


class MetricsLog:
    """`with MetricsLog(directory, step) as log: log.write(step, {"loss": 3.2})`; only the first process writes.

    The run starts at `step`; lines that an earlier start wrote for later steps are removed. tensorboardX
    (`pip install -e '.[tensorboard]'`) writes TensorBoard's files to `directory`/tensorboard. Weights & Biases gets
    the metrics if wandb is installed and $WANDB_PROJECT names a project.
    """

    def __init__(self, directory: Path, step: int, *, first: bool = True):
        self._directory, self._step, self._first = directory, step, first

    def __enter__(self) -> "MetricsLog":
        self._others = []
        if self._first:
            self._directory.mkdir(parents=True, exist_ok=True)
            forget_after(self._directory / FILE, self._step)
            self._file = (self._directory / FILE).open("a")
            self._others = [*self._tensorboard(), *self._wandb()]
        return self

    def __exit__(self, *_: Any) -> None:
        if self._first:
            with writing(self._directory / FILE):  # what a full disk did not take is tried again
                self._file.close()
        for _, close in self._others:
            close()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        if not self._first:
            return
        with writing(self._directory / FILE):
            self._file.write(json.dumps({"step": step, **values}) + "\n")
            self._file.flush()
        for write, _ in self._others:
            write(step, values)

    def _tensorboard(self):
        if importlib.util.find_spec("tensorboardX"):
            from tensorboardX import SummaryWriter

            writer = SummaryWriter(str(self._directory / "tensorboard"), purge_step=self._step)

            def write(step: int, values: Mapping[str, float]) -> None:
                for name, value in values.items():
                    writer.add_scalar(name, value, step)
                writer.flush()

            yield write, writer.close

    def _wandb(self):
        if os.environ.get("WANDB_PROJECT") and importlib.util.find_spec("wandb"):
            import wandb

            run = wandb.init(name=self._directory.name, id=self._directory.name, resume="allow")
            yield (lambda step, values: run.log(dict(values), step=step)), run.finish


def forget_after(path: Path, step: int) -> None:
    """Removes the lines of later steps, and a last line that a kill cut short."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text("utf-8", "replace").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, LookupError, TypeError, RecursionError):
            break
    write_text(path, kept)
