"""One training run: a sharded step over batches that are a function of the step; checkpoints, logs, hooks, signals."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from gr2_jax.buckets import push
from gr2_jax.errors import Preempted
from gr2_jax.hosts import Preemption, of_first
from gr2_jax.models.attention_forms import noting_forms
from gr2_jax.progress import progress, say
from gr2_jax.training.checkpoints import Checkpoints
from gr2_jax.training.chips import peak_flops
from gr2_jax.training.feed import Feed
from gr2_jax.training.goodput import Goodput, summary
from gr2_jax.training.job import TrainingJob, refuse_non_finite
from gr2_jax.training.mesh import devices_in_words, divided_in_each_process, make_mesh, put_batch
from gr2_jax.training.metrics_log import FILE, MetricsLog, read_lines
from gr2_jax.training.profile import Profile
from gr2_jax.training.step import Report, State, Step
from gr2_jax.training.watchdog import Watchdog

_TEXTS = ("query_tokens", "indexing_tokens", "document_tokens")  # of a batch, each row one example
_SUMMARISED_AFTER = 60  # seconds: the goodput of a shorter training is that of its compilation
_STEPS_BETWEEN_LOOKS = 20  # at the loss and the clock: reading them at every step would stall the device


def train(job: TrainingJob, params: Any, directory: Path) -> dict:
    """Trains from `params`, or resumes from the newest checkpoint in `directory`, to `job.steps`.

    Saves a last checkpoint there and returns its meta: step, training seconds over all starts (without evaluation),
    seconds by kind, loss and its parts, the devices in words, and the forms of attention in the step. The parameters
    after step n are a function of (params, job, mesh) alone, however often the run was killed. Every process of a job
    calls this with the same arguments.

    Raises:
        UserError: The mesh does not fit the devices or the model; no checkpoint is readable; a loss or gradient is
            non-finite.
        Preempted: SIGTERM arrived; the progress is saved.
    """
    with ExitStack() as opened:
        training = _Training(job, params, directory, opened)
        while training.at < job.steps and not training.preemption.requested():
            training.step()
            if training.looks:
                training.look()
        if training.at < job.steps:
            training.save_what_was_done()
            raise Preempted(
                f"{job.label}: preempted, and saved at step {training.at:,}; run the same command to resume"
            )
    _say_goodput(directory)
    training.push()
    return training.meta | {"devices": devices_in_words().removeprefix("on "), "attention": training.attention}


class _Training:
    """The state of a training between two steps, and everything that happens beside them.

    at         steps done
    meta       of the newest checkpoint, or of the last look
    attention  the form of attention -> the shapes that it serves in the step; empty where no step was left to do
    """

    def __init__(self, job: TrainingJob, params: Any, directory: Path, opened: ExitStack):
        begun = time.monotonic()
        self.job, self.settings, self.mesh = job, job.loop, make_mesh(job.mesh)
        self._directory = directory
        self._step = Step(job.loss, job.optimiser, job.seed, self.mesh, params)
        self.preemption = opened.enter_context(Preemption())
        self.checkpoints = opened.enter_context(Checkpoints(directory, job.best))
        self.clock = Goodput()
        with self.clock("start"):
            self.state, self.meta = self._start(params)
        self.clock.add(self.meta["goodput"])
        self.first = self.at = self.meta["step"]
        if 0 < self.at < job.steps:
            say(f"{job.label} goes on from step {self.at:,} of {job.steps:,}")
        host, hosts = jax.process_index(), jax.process_count()
        feed = Feed(lambda number: put_batch(job.batches, number, self.mesh), self.at, job.steps, self.settings.ahead)
        self.feed = opened.enter_context(feed)
        log = MetricsLog(directory, self.at, first=host == 0, since=time.monotonic() - begun)
        self.log = opened.enter_context(log)
        watchdog = Watchdog(directory / "hosts", host, hosts, self.settings.watchdog_seconds)
        self.watchdog = opened.enter_context(watchdog)
        self.profile = opened.enter_context(Profile(directory / "profile", self.settings.profile))
        self.bar = opened.enter_context(progress(job.steps, job.label, initial=self.at))
        self.saved, self.batch, self.report = time.monotonic(), None, None
        self.attention: dict[str, list[str]] = {}

    def _start(self, params: Any) -> tuple[State, dict]:
        if self.checkpoints.latest_step() is None:
            return self._step.start(params), {"step": 0, "seconds": 0.0, "goodput": {}}
        abstract = self._step.abstract
        params, opt_state, meta = self.checkpoints.restore(abstract.params, abstract.opt_state)
        return self._step.resume(params, opt_state, meta["step"]), meta

    def step(self) -> None:
        """One step; the device may still be computing it when this returns."""
        self.watchdog.note(self.at, "data")
        with self.clock("data"):
            self.batch = self.feed.next()
        self.watchdog.note(self.at, "step")
        self.profile.before(self.at)
        with self.clock("start" if self.at == self.first else "step"):  # the first step compiles
            if self.at == self.first:
                self._first_step()
            else:
                self.state, self.report = self._step(self.state, self.batch, self.at)
            if self.at == self.first or _queueing_deadlocks():
                jax.block_until_ready(self.report.loss)
        self.at += 1
        self.profile.after(self.at, self.report.loss)
        self.bar.advance(note=f"loss {self.meta['loss']:.3f}" if "loss" in self.meta else "")

    def _first_step(self) -> None:
        with noting_forms() as forms:
            self.state, self.report = self._step(self.state, self.batch, self.at)
        self.attention = {name: sorted(shapes) for name, shapes in sorted(forms.items())}
        if jax.default_backend() != "cpu":
            served = (f"{name} ({', '.join(shapes)})" for name, shapes in self.attention.items())
            say(f"  attention by {', '.join(served)}, queries x keys")

    @property
    def looks(self) -> bool:
        """Whether this step's results are read: that waits for the device."""
        return self._last or self._hooked or self._counted or self.at % _STEPS_BETWEEN_LOOKS == 0

    @property
    def _last(self) -> bool:
        return self.at == self.job.steps

    @property
    def _hooked(self) -> bool:
        return self.job.hook is not None and (self._last or self.at % self.job.hook_every == 0)

    @property
    def _counted(self) -> bool:
        return bool(self.settings.checkpoint_steps) and self.at % self.settings.checkpoint_steps == 0

    def look(self) -> None:
        """Reads the loss, calls the hook, logs, and saves a checkpoint where one is due."""
        refuse_non_finite(self.job, self._step, self.state, self.report, self.at)
        scores = None
        if self._hooked:
            self.watchdog.note(self.at, "evaluation")
            with self.clock("evaluation"):
                scores = self.job.hook(self.at, _of_this_process(self.state.params, self.mesh))
        self.meta = _meta(self.at, self.report, self.clock)
        self.log.write(self.at, _line(self.job, self.meta, self.clock, self.batch) | (scores or {}))
        by_clock = time.monotonic() - self.saved > self.settings.checkpoint_seconds
        if self._last or self._counted or scores or of_first(by_clock):
            self.watchdog.note(self.at, "checkpoint")
            with self.clock("checkpoint"):
                self.checkpoints.save(self.at, self.state.params, self.state.opt_state, self.meta, scores)
                self.push()
            self.saved = time.monotonic()

    def save_what_was_done(self) -> None:
        """Before leaving early."""
        if self.report is None:
            return
        refuse_non_finite(self.job, self._step, self.state, self.report, self.at)
        meta = _meta(self.at, self.report, self.clock)
        self.checkpoints.save(self.at, self.state.params, self.state.opt_state, meta)
        self.checkpoints.wait()
        self.push()

    def push(self) -> None:
        """The logs and, where Orbax does not write to the bucket itself, the checkpoints that are whole by now."""
        if jax.process_index() == 0:
            push(self._directory)


def _say_goodput(directory: Path) -> None:
    lines = [line for line in read_lines(directory / FILE) if "wall" in line]  # not those of an earlier version
    if lines and (lines[-1]["wall"] > _SUMMARISED_AFTER or lines[-1]["starts"] > 1):
        say(f"  {summary(lines)}")


def _queueing_deadlocks() -> bool:
    """Gloo, which connects CPU processes, deadlocks when devices of one process are steps apart."""
    return jax.process_count() > 1 and jax.default_backend() == "cpu"


def _of_this_process(params: Any, mesh: Mesh) -> Any:
    """All parameters, for a hook that computes on the devices of one process."""
    return params if jax.process_count() == 1 else divided_in_each_process(params, mesh)


def _meta(at: int, report: Report, clock: Goodput) -> dict:
    parts = {name: float(value) for name, value in report.parts.items()}
    return {
        "step": at,
        "seconds": clock.training,
        "goodput": clock.seconds(),
        "loss": float(report.loss),
        "gradient_norm": float(report.gradient_norm),
        "parts": parts,
    }


def _line(job: TrainingJob, meta: dict, clock: Goodput, batch: dict) -> dict[str, float]:
    """What metrics.jsonl records of a step; rates are since the previous line."""
    examples = sum(len(rows) for name, rows in batch.items() if name in _TEXTS)
    rate = clock.steps_per_second(meta["step"])
    return {
        "loss": meta["loss"],
        **{f"loss/{name}": value for name, value in meta["parts"].items()},
        "gradient_norm": meta["gradient_norm"],
        "seconds": sum(meta["goodput"].values()),
        "steps_per_second": rate,
        "examples_per_second": rate * examples,
        **_utilisation(rate * job.flops / jax.device_count()),
        **{f"goodput/{kind}": share for kind, share in clock.shares().items()},
    }


def _utilisation(flops: float) -> dict[str, float]:
    """FLOPs per second of a device, in 1e12 and, if its bfloat16 peak is known, as a share of it (mfu)."""
    peak = peak_flops(jax.devices()[0].device_kind)
    return ({"teraflops_per_device": flops / 1e12} if flops else {}) | ({"mfu": flops / peak} if flops and peak else {})
