"""A training run that is killed at random, again and again, ends with the same bytes as an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import toy_plan

from gr2_jax.errors import RESTART
from gr2_jax.training.checkpoints import restore_params
from gr2_jax.training.loop import train

KILLS = 30


@pytest.mark.slow
def test_thirty_random_kills(tmp_path):
    """SIGKILL and SIGTERM at any time from the first import on: in imports, the first compilation, steps, saves.
    A checkpoint at every second step makes many kills hit a save. Until the last kill, each batch takes a tenth of a
    second, so that a fast machine does not finish before."""
    luck = random.Random(0)
    command = [sys.executable, str(Path(toy_plan.__file__)), str(tmp_path), "drill"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    blows, codes, reached = 0, [], []
    while True:
        with subprocess.Popen(
            [*command, "0.1" if blows < KILLS else "0"], env=environment, stderr=subprocess.DEVNULL
        ) as process:
            try:
                process.wait(timeout=luck.uniform(0.2, 9.0) if blows < KILLS else 300)
            except subprocess.TimeoutExpired:
                blows += 1
                process.send_signal(luck.choice([signal.SIGKILL, signal.SIGTERM]))
                process.wait(timeout=60)
            codes.append(process.returncode)
        steps = [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]
        reached.append(max(steps, default=0))
        assert reached == sorted(reached)  # no saved step is lost
        if process.returncode == 0:
            break
        assert process.returncode in (RESTART, -signal.SIGKILL, -signal.SIGTERM), codes
        time.sleep(0.01)
    assert blows >= KILLS, f"only {blows} kills before the end: {codes}"
    assert {RESTART, -signal.SIGKILL} <= set(codes)
    drilled, _ = restore_params(tmp_path, toy_plan.start())
    calm = tmp_path.with_name("calm")
    train(toy_plan.DRILL, toy_plan.start(), calm)
    jax.tree.map(np.testing.assert_array_equal, drilled, restore_params(calm, toy_plan.start())[0])
