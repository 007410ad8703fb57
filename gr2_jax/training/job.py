"""What a training is: a loss, batches, an optimiser, and how a non-finite step of it is reported."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import optax

from gr2_jax.errors import UserError
from gr2_jax.training.loop_config import LoopConfig
from gr2_jax.training.mesh import Batches, MeshConfig, put_batch
from gr2_jax.training.step import Loss, Report, State, Step

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


def refuse_non_finite(job: TrainingJob, step: Step, state: State, report: Report, at: int) -> None:
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
