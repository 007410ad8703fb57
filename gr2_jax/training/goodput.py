"""How a training run spends its time."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

KINDS = ("start", "data", "step", "checkpoint", "evaluation")


class Goodput:
    """Seconds by kind: `start` (reading the newest checkpoint, the first step's compilation), `data` (waiting for a
    batch), `step`, `checkpoint`, `evaluation` (hooks). All other time counts as `step`: the devices compute while the
    program does something else.
    """

    def __init__(self):
        self._seconds = dict.fromkeys(KINDS, 0.0)
        self._last = time.monotonic()
        self._looked = None

    def add(self, seconds: dict[str, float]) -> None:
        """Adds the seconds of earlier starts."""
        for kind, value in seconds.items():
            self._seconds[kind] += value

    @contextmanager
    def __call__(self, kind: str) -> Iterator[None]:
        self._until_now("step")
        try:
            yield
        finally:
            self._until_now(kind)

    def seconds(self) -> dict[str, float]:
        self._until_now("step")
        return dict(self._seconds)

    @property
    def training(self) -> float:
        """Seconds of everything but evaluation."""
        return sum(seconds for kind, seconds in self.seconds().items() if kind != "evaluation")

    def shares(self) -> dict[str, float]:
        """The share of each kind in the total time."""
        seconds = self.seconds()
        return {kind: value / max(sum(seconds.values()), 1e-9) for kind, value in seconds.items()}

    def steps_per_second(self, step: int) -> float:
        """The rate since the previous call, without evaluation and checkpoints; 0 at the first call."""
        seconds = self.seconds()
        now = step, seconds["step"] + seconds["data"]
        before, self._looked = self._looked, now
        return 0.0 if before is None else (now[0] - before[0]) / max(now[1] - before[1], 1e-9)

    def _until_now(self, kind: str) -> None:
        now = time.monotonic()
        self._seconds[kind] += now - self._last
        self._last = now


def summary(lines: Sequence[Mapping[str, float]]) -> str:
    """The goodput of a run in one sentence, from the lines of its metrics.jsonl (at least one): the share of the wall
    time, from the first start to the last line, that went into steps which count. Steps that a kill undid and the time
    between two starts do not. The MFU is the mean over the lines that have one."""
    last = lines[-1]
    wall = max(last["wall"], last["seconds"], 1e-9)
    counted = {kind: last[f"goodput/{kind}"] * last["seconds"] for kind in KINDS}
    shares = {kind: counted[kind] / wall for kind in KINDS if kind != "step"}
    shares["lost or between starts"] = 1 - last["seconds"] / wall
    others = ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items())
    starts = f"{last['starts']:.0f} start{'s' * (last['starts'] > 1)}"
    text = f"goodput {counted['step'] / wall:.0%}: {counted['step']:,.0f} s in steps of {wall:,.0f} s in {starts}"
    measured = [line["mfu"] for line in lines if line.get("mfu")]
    return f"{text} ({others})" + (f"; MFU in steps {sum(measured) / len(measured):.1%}" if measured else "")
