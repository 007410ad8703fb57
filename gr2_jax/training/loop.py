"""One training run: a jitted, donated, sharded step; batches that are a function of the step; checkpoints by time."""

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import optax

from gr2_jax.errors import UserError
from gr2_jax.progress import progress
from gr2_jax.training.checkpoints import Checkpoints
from gr2_jax.training.mesh import data_mesh, put_batch, replicated

Loss = Callable[[Any, dict, jax.Array], tuple[jax.Array, dict[str, jax.Array]]]
_STEPS_BETWEEN_LOOKS = 20  # at the loss and the clock: looking at every step would keep the device waiting


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to run: `steps` of `optimiser` on `loss(params, batch, rng)`, batches from `batches(step)`."""

    label: str
    loss: Loss
    batches: Callable[[int], dict]
    optimiser: optax.GradientTransformation
    steps: int
    seed: int
    checkpoint_seconds: float
    hook: Callable[[int, Any], None] | None = None
    """Called with (step, parameters) every `hook_every` steps and after the last; it must not keep the parameters."""
    hook_every: int = 0


def adam(steps: int, learning_rate: float, warmup_steps: int, b2: float, weight_decay: float):
    """Adam with decoupled weight decay, linear warm-up and cosine decay to 1% of the rate over `steps`."""
    warmup = min(warmup_steps, max(steps - 1, 0))
    schedule = optax.warmup_cosine_decay_schedule(0.0, learning_rate, warmup, steps, 0.01 * learning_rate)
    return optax.adamw(schedule, b2=b2, weight_decay=weight_decay)


def train(plan: Plan, params: Any, directory: Path) -> dict:
    """Trains from `params`, or goes on from the newest checkpoint in `directory`, to `plan.steps`.

    Leaves the last checkpoint there and returns its meta: steps, seconds of training over all starts, loss parts.
    The parameters after step n are a function of (params, plan) alone, however often the run was killed.
    """
    mesh = data_mesh()
    params = jax.device_put(params, replicated(mesh), may_alias=False)  # a copy: the step is donated its arguments
    opt_state = jax.jit(plan.optimiser.init, out_shardings=replicated(mesh))(params)
    checkpoints = Checkpoints(directory)
    step, meta = 0, {"seconds": 0.0}
    if checkpoints.latest_step() is not None:
        params, opt_state, meta = checkpoints.restore(params, opt_state)
        step = meta["step"]
    update = _jitted_step(plan, replicated(mesh))
    key = jax.random.key(plan.seed, impl="rbg")
    saved = started = time.monotonic()
    before = meta["seconds"]
    with progress(plan.steps, plan.label, initial=step) as bar:
        while step < plan.steps:
            batch = put_batch(plan.batches(step), mesh)
            params, opt_state, loss, parts = update(params, opt_state, batch, jax.random.fold_in(key, step))
            step += 1
            last = step == plan.steps
            if plan.hook is not None and (last or step % plan.hook_every == 0):
                called = time.monotonic()
                plan.hook(step, params)
                started += time.monotonic() - called  # which is no training
            if last or step % _STEPS_BETWEEN_LOOKS == 0:
                _refuse_nan(plan.label, step, float(loss), parts)
                meta = {"step": step, "seconds": before + time.monotonic() - started, "loss": float(loss)}
                meta["parts"] = {name: float(value) for name, value in parts.items()}
                if last or time.monotonic() - saved > plan.checkpoint_seconds:
                    checkpoints.save(step, params, opt_state, meta)
                    saved = time.monotonic()
            bar.advance(note=f"loss {meta['loss']:.3f}" if "loss" in meta else "")
    checkpoints.close()
    return meta


def _jitted_step(plan: Plan, everywhere: jax.sharding.NamedSharding):
    @functools.partial(jax.jit, donate_argnums=(0, 1), out_shardings=everywhere)
    def update(params, opt_state, batch, rng):
        (loss, parts), gradients = jax.value_and_grad(plan.loss, has_aux=True)(params, batch, rng)
        updates, opt_state = plan.optimiser.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss, parts

    return update


def _refuse_nan(label: str, step: int, loss: float, parts: dict) -> None:
    if loss != loss or loss in (float("inf"), float("-inf")):
        values = ", ".join(f"{name} {float(value):.4g}" for name, value in parts.items())
        raise UserError(f"{label}: the loss is {loss} at step {step} ({values}): lower the learning rate")
