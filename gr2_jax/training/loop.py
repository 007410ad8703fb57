"""One training run: batches that are a function of the step, a sharded step, and what happens beside the steps."""

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
from gr2_jax.preemption import Preemption
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

_STEPS_BETWEEN_LOOKS = 20  # at the loss and the clock: looking at every step would keep the device waiting
_NAMED = 5  # offending queries


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to run: `steps` of `optimiser` on `loss(params, batch, rng)`, with `batches(step, host=h, hosts=H)`."""

    label: str
    loss: Loss
    batches: Batches
    optimiser: optax.GradientTransformation
    steps: int
    seed: int
    mesh: MeshConfig = MeshConfig()
    loop: LoopConfig = LoopConfig()
    hook: Callable[[int, Any], dict[str, float] | None] | None = None
    """Called with (step, parameters) every `hook_every` steps and after the last; it must not keep the parameters. A
    checkpoint is kept of each step that it gives scores for, as long as it has the highest of the score `best`."""
    hook_every: int = 0
    best: str | None = None
    query: Callable[[np.ndarray], str] | None = None
    """The text of a row of the batch's query_tokens, for messages."""
    flops: float = 0.0
    """Of a step, by `gr2_jax.training.flops`; 0: not known, and nothing is said of them."""


def train(plan: Plan, params: Any, directory: Path) -> dict:
    """Trains from `params`, or goes on from the newest checkpoint in `directory`, to `plan.steps`.

    Leaves the last checkpoint there and returns its meta: step, seconds of training over all starts (evaluation left
    out) and by kind, loss, its parts. The parameters after step n are a function of (params, plan, mesh) alone, however
    often the run was killed. Every process of a job calls this with the same arguments.

    Raises:
        UserError: The mesh does not fit the devices or the model; no checkpoint can be read; the loss is no number.
        Preempted: SIGTERM came; what was done is saved.
    """
    mesh = make_mesh(plan.mesh)
    step = Step(plan.loss, plan.optimiser, plan.seed, mesh, params)
    host, hosts, settings = jax.process_index(), jax.process_count(), plan.loop
    with ExitStack() as opened:
        preemption = opened.enter_context(Preemption())
        checkpoints = opened.enter_context(Checkpoints(directory, plan.best))
        clock = Goodput()
        with clock("start"):
            state, meta = _start(step, params, checkpoints)
        clock.add(meta["goodput"])
        first = at = meta["step"]
        feed = Feed(lambda number: put_batch(plan.batches, number, mesh), at, plan.steps, settings.ahead)
        opened.enter_context(feed)
        log = opened.enter_context(MetricsLog(directory, at, first=host == 0))
        watchdog = opened.enter_context(Watchdog(directory / "hosts", host, hosts, settings.watchdog_seconds))
        profile = opened.enter_context(Profile(directory / "profile", settings.profile))
        bar = opened.enter_context(progress(plan.steps, plan.label, initial=at))
        saved, report = time.monotonic(), None
        while at < plan.steps and not preemption.requested():
            watchdog.note(at, "data")
            with clock("data"):
                batch = feed.next()
            watchdog.note(at, "step")
            profile.before(at)
            with clock("start" if at == first else "step"):  # the first compiles
                state, report = step(state, batch, at)
                if at == first or _queueing_deadlocks():
                    jax.block_until_ready(report.loss)
            at += 1
            profile.after(at, report.loss)
            bar.advance(note=f"loss {meta['loss']:.3f}" if "loss" in meta else "")
            hooked = plan.hook is not None and (at == plan.steps or at % plan.hook_every == 0)
            counted = settings.checkpoint_steps and at % settings.checkpoint_steps == 0
            if not (hooked or counted or at == plan.steps or at % _STEPS_BETWEEN_LOOKS == 0):
                continue
            _refuse_nan(plan, step, state, report, at)
            scores = None
            if hooked:
                watchdog.note(at, "evaluation")
                with clock("evaluation"):
                    scores = plan.hook(at, _whole(state.params, mesh))
            meta = _meta(at, report, clock)
            log.write(at, _line(plan, meta, clock, batch) | (scores or {}))
            by_clock = time.monotonic() - saved > settings.checkpoint_seconds
            if at == plan.steps or counted or scores or _first_host_says(by_clock):
                watchdog.note(at, "checkpoint")
                with clock("checkpoint"):
                    checkpoints.save(at, state.params, state.opt_state, meta, scores)
                saved = time.monotonic()
        if at < plan.steps:
            if report is not None:
                _refuse_nan(plan, step, state, report, at)
                checkpoints.save(at, state.params, state.opt_state, _meta(at, report, clock))
                checkpoints.wait()
            raise Preempted(f"{plan.label}: preempted, and saved at step {at:,}; the same command goes on")
    return meta


def _start(step: Step, params: Any, checkpoints: Checkpoints) -> tuple[State, dict]:
    if checkpoints.latest_step() is None:
        return step.start(params), {"step": 0, "seconds": 0.0, "goodput": {}}
    abstract = step.abstract
    params, opt_state, meta = checkpoints.restore(abstract.params, abstract.opt_state)
    return step.resume(params, opt_state, meta["step"]), meta


def _queueing_deadlocks() -> bool:
    """Gloo, which joins CPU processes, stands still when devices of one process are steps apart."""
    return jax.process_count() > 1 and jax.default_backend() == "cpu"


def _first_host_says(this: bool) -> bool:
    if jax.process_count() == 1:
        return this
    from jax.experimental import multihost_utils

    return bool(multihost_utils.broadcast_one_to_all(np.array(this)))


def _whole(params: Any, mesh: Mesh) -> Any:
    """On every device, for a hook that uses those of one process."""
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


def _line(plan: Plan, meta: dict, clock: Goodput, batch: dict) -> dict[str, float]:
    """What metrics.jsonl says of a step; rates are since the line before."""
    examples = sum(len(rows) for name, rows in batch.items() if name in ("query_tokens", "document_tokens"))
    rate = clock.steps_per_second(meta["step"])
    return {
        "loss": meta["loss"],
        **{f"loss/{name}": value for name, value in meta["parts"].items()},
        "gradient_norm": meta["gradient_norm"],
        "steps_per_second": rate,
        "examples_per_second": rate * examples,
        **_utilisation(rate * plan.flops / jax.device_count()),
        **{f"goodput/{kind}": share for kind, share in clock.shares().items()},
    }


def _utilisation(flops: float) -> dict[str, float]:
    """Of what a device computes per second: in 1e12, and as a share of its bfloat16 peak where that is known."""
    peak = peak_flops(jax.devices()[0].device_kind)
    return ({"teraflops_per_device": flops / 1e12} if flops else {}) | ({"mfu": flops / peak} if flops and peak else {})


def _refuse_nan(plan: Plan, step: Step, state: State, report: Report, at: int) -> None:
    """Raises `UserError` where the steps so far were halted by a loss or gradient that is no number: with the step, the
    parts and the queries that it comes from. The state is still that before it."""
    bad = int(report.good)
    if bad == at:
        return
    _, again = step(state, put_batch(plan.batches, bad, step.mesh), bad)
    parts = ", ".join(f"{name} {float(value):.4g}" for name, value in again.parts.items())
    loss = float(again.loss)
    what = f"the loss is {loss}" if not np.isfinite(loss) else f"the gradient's norm is {float(again.gradient_norm)}"
    raise UserError(
        f"{plan.label}: {what} at step {bad + 1} ({parts}){_offenders(plan, bad, again)}: lower the learning rate"
    )


def _offenders(plan: Plan, number: int, report: Report) -> str:
    if report.finite_rows is None:
        return ""
    rows = np.flatnonzero(~np.asarray(report.finite_rows)).tolist()
    if not rows:
        return "; every query of the batch is finite by itself"
    tokens = plan.batches(number, host=0, hosts=1)["query_tokens"]
    named = [f"{row}" + (f" '{plan.query(tokens[row])}'" if plan.query else "") for row in rows[:_NAMED]]
    return f"; from {len(rows)} of the {len(tokens)} queries of the batch, {', '.join(named)}"
