"""Periodic training metrics: metrics.jsonl, and TensorBoard and Weights & Biases where installed."""

import importlib.util
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gr2_jax.files import write_text, writing

FILE = "metrics.jsonl"


class MetricsLog:
    """`with MetricsLog(directory, step) as log: log.write(step, {"loss": 3.2})`; only the first process writes.

    The run starts at `step`; lines that an earlier start wrote for later steps are removed. A line also gets `time` (of
    `time.time`), `wall`, the seconds since the run's first start, and `starts`, their number. This start began `since`
    seconds ago; one that was killed before its first line does not count.

    tensorboardX (`pip install -e '.[tensorboard]'`) writes TensorBoard's files to `directory`/tensorboard. Weights &
    Biases gets the metrics if wandb is installed and $WANDB_PROJECT names a project.
    """

    def __init__(self, directory: Path, step: int, *, first: bool = True, since: float = 0.0):
        self._directory, self._step, self._first = directory, step, first
        self._began, self._starts = time.time() - since, 1

    def __enter__(self) -> "MetricsLog":
        self._others = []
        if self._first:
            self._directory.mkdir(parents=True, exist_ok=True)
            for line in read_lines(self._directory / FILE):
                self._began = min(self._began, line.get("time", self._began) - line.get("wall", 0.0))
                self._starts = max(self._starts, line.get("starts", 0) + 1)
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
            now = time.time()
            times = {"time": now, "wall": max(now - self._began, 0.0), "starts": self._starts}
            self._file.write(json.dumps({"step": step, **values, **times}) + "\n")
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
    if path.is_file():
        write_text(path, (json.dumps(line) + "\n" for line in read_lines(path) if line["step"] <= step))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl, up to one that a kill cut short; none where there is no file."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text("utf-8", "replace").splitlines():
        try:
            line = json.loads(text)
            float(line["step"])  # raises where it is no line
        except (ValueError, LookupError, TypeError, RecursionError):
            break
        lines.append(line)
    return lines
