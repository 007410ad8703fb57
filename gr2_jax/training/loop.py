"""One training run: a sharded step over batches that are a function of the step; checkpoints, logs, hooks, signals."""

import dataclasses
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from gr2_jax.errors import Preempted, UserError
from gr2_jax.hosts import Preemption, of_first
from gr2_jax.progress import progress
from gr2_jax.training.checkpoints import Checkpoints
from gr2_jax.training.chips import peak_flops
from gr2_jax.training.feed import Feed
from gr2_jax.training.goodput import Goodput
from gr2_jax.training.loop_config import LoopConfig
from gr2_jax.training.mesh import Batches, MeshConfig, make_mesh, put_batch, replicated
from gr2_jax.training.metrics_log import MetricsLog
from gr2_jax.training.profile import Profile
from gr2_jax.training.step import Loss, Report, State, Step
from gr2_jax.training.watchdog import Watchdog

_STEPS_BETWEEN_LOOKS = 20  # at the loss and the clock: reading them at every step would stall the device
_NAMED = 5  # offending queries in a message


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """`steps` steps of `optimiser` on `loss(params, batch, rng)`, over `batches(step, host=h, hosts=H)`."""

    label: str
    loss: Loss
    batches: Batches
    optimiser: optax.GradientTransformation
    steps: int
    seed: int
    mesh: MeshConfig = MeshConfig()
    loop: LoopConfig = LoopConfig()
    hook: Callable[[int, Any], dict[str, float] | None] | None = None
    """Called with (step, parameters) every `hook_every` steps and after the last; it must not keep the parameters. Each
    step for which it returns scores is checkpointed; the checkpoint with the highest score `best` is kept."""
    hook_every: int = 0
    best: str | None = None
    query: Callable[[np.ndarray], str] | None = None
    """Turns a row of the batch's query_tokens into text, for messages."""
    flops: float = 0.0
    """FLOPs of a step, by `gr2_jax.training.flops`; 0: unknown, and utilisation is not logged."""


def train(job: TrainingJob, params: Any, directory: Path) -> dict:
    """Trains from `params`, or resumes from the newest checkpoint in `directory`, to `job.steps`.

    Saves a last checkpoint there and returns its meta: step, training seconds over all starts (without evaluation),
    seconds by kind, loss and its parts. The parameters after step n are a function of (params, job, mesh) alone,
    however often the run was killed. Every process of a job calls this with the same arguments.

    Raises:
        UserError: The mesh does not fit the devices or the model; no checkpoint is readable; a loss or gradient is
            non-finite.
        Preempted: SIGTERM arrived; the progress is saved.
    """
    mesh = make_mesh(job.mesh)
    step = Step(job.loss, job.optimiser, job.seed, mesh, params)
    host, hosts, settings = jax.process_index(), jax.process_count(), job.loop
    with ExitStack() as opened:
        preemption = opened.enter_context(Preemption())
        checkpoints = opened.enter_context(Checkpoints(directory, job.best))
        clock = Goodput()
        with clock("start"):
            state, meta = _start(step, params, checkpoints)
        clock.add(meta["goodput"])
        first = at = meta["step"]
        feed = Feed(lambda number: put_batch(job.batches, number, mesh), at, job.steps, settings.ahead)
        opened.enter_context(feed)
        log = opened.enter_context(MetricsLog(directory, at, first=host == 0))
        watchdog = opened.enter_context(Watchdog(directory / "hosts", host, hosts, settings.watchdog_seconds))
        profile = opened.enter_context(Profile(directory / "profile", settings.profile))
        bar = opened.enter_context(progress(job.steps, job.label, initial=at))
        saved, report = time.monotonic(), None
        while at < job.steps and not preemption.requested():
            watchdog.note(at, "data")
            with clock("data"):
                batch = feed.next()
            watchdog.note(at, "step")
            profile.before(at)
            with clock("start" if at == first else "step"):  # the first step compiles
                state, report = step(state, batch, at)
                if at == first or _queueing_deadlocks():
                    jax.block_until_ready(report.loss)
            at += 1
            profile.after(at, report.loss)
            bar.advance(note=f"loss {meta['loss']:.3f}" if "loss" in meta else "")
            hooked = job.hook is not None and (at == job.steps or at % job.hook_every == 0)
            counted = settings.checkpoint_steps and at % settings.checkpoint_steps == 0
            if not (hooked or counted or at == job.steps or at % _STEPS_BETWEEN_LOOKS == 0):
                continue
            _refuse_nan(job, step, state, report, at)
            scores = None
            if hooked:
                watchdog.note(at, "evaluation")
                with clock("evaluation"):
                    scores = job.hook(at, _whole(state.params, mesh))
            meta = _meta(at, report, clock)
            log.write(at, _line(job, meta, clock, batch) | (scores or {}))
            by_clock = time.monotonic() - saved > settings.checkpoint_seconds
            if at == job.steps or counted or scores or of_first(by_clock):
                watchdog.note(at, "checkpoint")
                with clock("checkpoint"):
                    checkpoints.save(at, state.params, state.opt_state, meta, scores)
                saved = time.monotonic()
        if at < job.steps:
            if report is not None:
                _refuse_nan(job, step, state, report, at)
                checkpoints.save(at, state.params, state.opt_state, _meta(at, report, clock))
                checkpoints.wait()
            raise Preempted(f"{job.label}: preempted, and saved at step {at:,}; the same command goes on")
    return meta


def _start(step: Step, params: Any, checkpoints: Checkpoints) -> tuple[State, dict]:
    if checkpoints.latest_step() is None:
        return step.start(params), {"step": 0, "seconds": 0.0, "goodput": {}}
    abstract = step.abstract
    params, opt_state, meta = checkpoints.restore(abstract.params, abstract.opt_state)
    return step.resume(params, opt_state, meta["step"]), meta


def _queueing_deadlocks() -> bool:
    """Gloo, which connects CPU processes, deadlocks when devices of one process are steps apart."""
    return jax.process_count() > 1 and jax.default_backend() == "cpu"


def _whole(params: Any, mesh: Mesh) -> Any:
    """Replicates parameters on every device, for a hook that computes on the devices of one process."""
    if jax.process_count() == 1:
        return params
    return jax.jit(lambda x: x, out_shardings=replicated(mesh))(params)


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
    examples = sum(len(rows) for name, rows in batch.items() if name in ("query_tokens", "indexing_tokens"))
    rate = clock.steps_per_second(meta["step"])
    return {
        "loss": meta["loss"],
        **{f"loss/{name}": value for name, value in meta["parts"].items()},
        "gradient_norm": meta["gradient_norm"],
        "steps_per_second": rate,
        "examples_per_second": rate * examples,
        **_utilisation(rate * job.flops / jax.device_count()),
        **{f"goodput/{kind}": share for kind, share in clock.shares().items()},
    }


def _utilisation(flops: float) -> dict[str, float]:
    """FLOPs per second of a device, in 1e12 and, if its bfloat16 peak is known, as a share of it (mfu)."""
    peak = peak_flops(jax.devices()[0].device_kind)
    return ({"teraflops_per_device": flops / 1e12} if flops else {}) | ({"mfu": flops / peak} if flops and peak else {})


def _refuse_nan(job: TrainingJob, step: Step, state: State, report: Report, at: int) -> None:
    """Raises `UserError` if a non-finite loss or gradient froze the state, naming the step, the parts of its loss and
    the queries that caused it. The state is still the one before that step."""
    bad = int(report.last_finite_step)
    if bad == at:
        return
    _, again = step(state, put_batch(job.batches, bad, step.mesh), bad)
    parts = ", ".join(f"{name} {float(value):.4g}" for name, value in again.parts.items())
    loss = float(again.loss)
    what = f"the loss is {loss}" if not np.isfinite(loss) else f"the gradient's norm is {float(again.gradient_norm)}"
    raise UserError(
        f"{job.label}: {what} at step {bad + 1} ({parts}){_offenders(job, bad, again)}: lower the learning rate"
    )


def _offenders(job: TrainingJob, number: int, report: Report) -> str:
    if report.finite_rows is None:
        return ""
    rows = np.flatnonzero(~np.asarray(report.finite_rows)).tolist()
    if not rows:
        return "; every query of the batch is finite by itself"
    tokens = job.batches(number, host=0, hosts=1)["query_tokens"]
    named = [f"{row}" + (f" '{job.query(tokens[row])}'" if job.query else "") for row in rows[:_NAMED]]
    return f"; from {len(rows)} of the {len(tokens)} queries of the batch, {', '.join(named)}"
