"""A run that is stopped in any way and restarted ends with the same bytes as an undisturbed run."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_plan
from toy_plan import PLAN, STEPS

from gr2_jax.errors import UserError
from gr2_jax.training import goodput, loop
from gr2_jax.training.checkpoints import Checkpoints, restore_params
from gr2_jax.training.loop import train
from gr2_jax.training.loop_config import LoopConfig
from gr2_jax.training.optimiser import OptimiserConfig, make_optimiser


def _final(directory):
    params, meta = restore_params(directory, toy_plan.start())
    assert meta["step"] == STEPS
    return jax.tree.map(np.asarray, params)


def _steps(directory):
    return {path.name for path in directory.iterdir() if path.name.isdigit()}


def _assert_same_bytes(params, others):
    jax.tree.map(np.testing.assert_array_equal, params, others)


def _never(step, host, hosts):
    raise AssertionError(f"batch {step} was asked for")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("undisturbed")
    train(dataclasses.replace(PLAN, loop=LoopConfig(checkpoint_seconds=1e9)), toy_plan.start(), directory)
    return directory


@pytest.fixture(scope="module")
def expected(undisturbed):
    return _final(undisturbed)


def test_training_fits_the_data(expected):
    def loss(params):
        batch = toy_plan.batches(1000)
        return np.mean((np.tanh(batch["x"] @ params["w"] + params["b"]) - batch["y"]) ** 2)

    assert loss(expected) < 0.2 < 0.5 < loss(toy_plan.start())


@pytest.mark.parametrize(("stop", "saved"), [(7, None), (40, 40), (59, 40), (STEPS - 1, 60)])
def test_an_interrupted_run_ends_as_an_undisturbed_one(stop, saved, expected, tmp_path, capsys):
    def interrupt():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        train(toy_plan.stopping_at(stop, interrupt), toy_plan.start(), tmp_path)
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest_step() == saved
    checkpoints.close()
    asked = []
    train(
        dataclasses.replace(PLAN, batches=lambda step, host, hosts: asked.append(step) or toy_plan.batches(step)),
        toy_plan.start(),
        tmp_path,
    )
    assert asked == list(range(saved or 0, STEPS))
    told = [f"toy goes on from step {saved} of {STEPS}"] if saved else []
    assert [line for line in capsys.readouterr().err.splitlines() if "goes on" in line] == told
    _assert_same_bytes(_final(tmp_path), expected)


def test_a_killed_process_ends_as_an_undisturbed_one(expected, tmp_path):
    """kill -9 between two checkpoints."""
    command = [sys.executable, toy_plan.__file__, str(tmp_path), "50"]
    with subprocess.Popen(command, env=os.environ | {"JAX_PLATFORMS": "cpu"}) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "40").is_dir():
            assert process.poll() is None, "the run ended before it was killed"
            assert time.monotonic() < deadline, "no checkpoint within two minutes"
            time.sleep(0.05)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    train(PLAN, toy_plan.start(), tmp_path)
    _assert_same_bytes(_final(tmp_path), expected)


def test_a_finished_run_does_no_step(undisturbed, expected, capsys):
    meta = train(dataclasses.replace(PLAN, batches=_never), toy_plan.start(), undisturbed)
    assert "goes on" not in capsys.readouterr().err
    assert meta["step"] == STEPS
    assert set(meta["parts"]) == {"fit", "size"}
    np.testing.assert_allclose(meta["loss"], meta["parts"]["fit"] + meta["parts"]["size"], rtol=1e-6)
    _assert_same_bytes(_final(undisturbed), expected)


def test_checkpoints_follow_the_clock_and_seconds_add_up_over_starts(monkeypatch, tmp_path):
    """A step takes a second, a checkpoint is due every 25: of the checks at 20, 40, 60 and 80, that at 60 saves."""
    clock = [0.0]
    for module in (loop, goodput):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def tick(step, host, hosts):
        clock[0] += 1
        return toy_plan.batches(step)

    plan = dataclasses.replace(PLAN, batches=tick, loop=LoopConfig(checkpoint_seconds=25.0, ahead=0))
    meta = train(dataclasses.replace(plan, steps=30), toy_plan.start(), tmp_path)
    assert (meta["seconds"], _steps(tmp_path)) == (30, {"30"})
    clock[0] = 1000.0
    meta = train(dataclasses.replace(plan, steps=90), toy_plan.start(), tmp_path)
    assert (meta["seconds"], _steps(tmp_path)) == (90, {"60", "90"})


def test_the_hook_gets_the_parameters_and_its_time_is_not_training_time(expected, monkeypatch, tmp_path):
    """A step takes a second and a hook 100. The run is killed just before the hook at step 48, and resumed."""
    clock, seen = [0.0], {}
    for module in (loop, goodput):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def tick(step, host, hosts):
        clock[0] += 1
        if step == 47 and 48 not in seen:
            raise InterruptedError
        return toy_plan.batches(step)

    def look(step, params):
        clock[0] += 100
        seen.setdefault(step, []).append(jax.tree.map(np.array, params))

    plan = dataclasses.replace(
        PLAN, batches=tick, hook=look, hook_every=24, loop=dataclasses.replace(PLAN.loop, ahead=0)
    )
    with pytest.raises(InterruptedError):
        train(plan, toy_plan.start(), tmp_path)
    assert set(seen) == {24}
    seen[48] = []
    meta = train(plan, toy_plan.start(), tmp_path)
    assert {step: len(calls) for step, calls in seen.items()} == {24: 1, 48: 1, STEPS: 1}
    assert meta["seconds"] == STEPS
    _assert_same_bytes(seen[STEPS][0], expected)
    _assert_same_bytes(_final(tmp_path), expected)


@pytest.mark.parametrize("place", [np.asarray, jnp.asarray])
def test_the_callers_parameters_do_not_change(place, tmp_path):
    """The step donates its arguments, but not the arrays that the caller passed in."""
    params = jax.tree.map(place, toy_plan.start())
    train(dataclasses.replace(PLAN, steps=1), params, tmp_path)
    _assert_same_bytes(params, toy_plan.start())


def test_a_non_finite_loss_stops_the_run_and_names_the_part(tmp_path):
    def loss(params, batch, rng):
        total, parts = toy_plan.loss(params, batch, rng)
        broken = jnp.log(-jnp.square(params["b"]).sum() - 1.0)
        return total + broken, parts | {"broken": broken}

    with pytest.raises(UserError, match=r"toy: the loss is nan at step 1 .*broken nan.*fit 0\.\d+.*learning rate"):
        train(dataclasses.replace(PLAN, loss=loss), toy_plan.start(), tmp_path)
    assert not _steps(tmp_path)  # and saves no checkpoint


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_the_rate_warms_up_and_decays_to_a_hundredth(steps):
    """Adam's first updates have the size of the rate if the gradient's sign is constant."""
    optimiser = make_optimiser(
        OptimiserConfig(steps=steps, learning_rate=0.5, warmup_steps=4, b2=0.9, weight_decay=0.0)
    )
    state, moves = optimiser.init(jnp.zeros(1)), []
    for _ in range(steps + 1):
        update, state = optimiser.update(jnp.ones(1), state, jnp.zeros(1))
        moves.append(-float(update[0]))
    warmup = min(4, steps - 1)
    rates = [0.5 * i / warmup for i in range(warmup)]
    span = steps - warmup
    rates += [0.005 + 0.495 * (1 + np.cos(np.pi * i / span)) / 2 for i in range(span + 1)]
    np.testing.assert_allclose(moves, rates, rtol=1e-4, atol=1e-7)
