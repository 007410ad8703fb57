"""Killed at random, again and again, a training loses nothing: it ends with the bytes of one that was left alone."""

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
    """SIGKILL and SIGTERM, anywhere from the program's first import on: imports, the first compilation, steps, saves.
    A checkpoint is written at every second step, so that many blows fall within a save. Batches take a tenth of a
    second as long as there are blows to come: on a fast machine the training would be over before."""
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
        assert reached == sorted(reached)  # nothing that was saved is lost
        if process.returncode == 0:
            break
        assert process.returncode in (RESTART, -signal.SIGKILL, -signal.SIGTERM), codes
        time.sleep(0.01)
    assert blows >= KILLS, f"only {blows} blows before the end: {codes}"
    assert {RESTART, -signal.SIGKILL} <= set(codes)
    drilled, _ = restore_params(tmp_path, toy_plan.start())
    calm = tmp_path.with_name("calm")
    train(toy_plan.DRILL, toy_plan.start(), calm)
    jax.tree.map(np.testing.assert_array_equal, drilled, restore_params(calm, toy_plan.start())[0])
