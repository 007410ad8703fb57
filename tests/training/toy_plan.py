"""A job that trains in milliseconds yet depends on everything that a resumed run must restore: the parameters, Adam's
state, the step's batch and the step's random key. As a program, `python toy_plan.py DIRECTORY STOP` trains in DIRECTORY
with a checkpoint at every check of the clock, and waits forever for batch STOP; `python toy_plan.py DIRECTORY drill
SECONDS` trains for longer, each batch taking SECONDS."""

import dataclasses
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gr2_jax.errors import RESTART, Preempted
from gr2_jax.training.job import TrainingJob
from gr2_jax.training.loop import train
from gr2_jax.training.loop_config import LoopConfig
from gr2_jax.training.optimiser import OptimiserConfig, make_optimiser

STEPS = 70  # the loop looks at the clock every 20 steps


def start():
    return {"w": np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3), "b": np.zeros(3, np.float32)}


def loss(params, batch, rng):
    kept = jax.random.bernoulli(rng, 0.7, batch["x"].shape)
    fit = jnp.mean(jnp.square(jnp.tanh((batch["x"] * kept) @ params["w"] + params["b"]) - batch["y"]))
    size = 0.01 * jnp.sum(jnp.square(params["w"]))
    return fit + size, {"fit": fit, "size": size}


def batches(step, host=0, hosts=1):
    rng = np.random.default_rng(step)
    x = rng.normal(size=(8, 4)).astype(np.float32)
    return {"x": x, "y": np.sin(x[:, :3])}


PLAN = TrainingJob(
    "toy",
    loss,
    batches,
    make_optimiser(OptimiserConfig(steps=STEPS, learning_rate=0.1, warmup_steps=5, b2=0.99, weight_decay=0.01)),
    STEPS,
    seed=3,
    loop=LoopConfig(checkpoint_seconds=0.0),
)


DRILL = dataclasses.replace(PLAN, steps=1600, loop=LoopConfig(checkpoint_steps=2))


def stopping_at(step, stop):
    """The job, with `stop` called in place of reading the batch of that step."""
    return dataclasses.replace(PLAN, batches=lambda at, host, hosts: batches(at) if at != step else stop())


if __name__ == "__main__":
    if sys.argv[2] != "drill":
        train(stopping_at(int(sys.argv[2]), lambda: time.sleep(3600)), start(), Path(sys.argv[1]))
    else:
        try:
            seconds = float(sys.argv[3])
            slowly = dataclasses.replace(DRILL, batches=lambda at, host, hosts: time.sleep(seconds) or batches(at))
            train(slowly, start(), Path(sys.argv[1]))
        except Preempted:
            sys.exit(RESTART)
