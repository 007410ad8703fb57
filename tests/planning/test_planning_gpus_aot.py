"""Real compilations for GPUs that are not here, of a tiny model."""

import json
import os
import subprocess
import sys

import pytest

from gr2_jax.planning import gpus

pytestmark = pytest.mark.gpu_aot
TINY = ("configs/wikipedia.py", "configs/variants/debug.py", "--retrieval.model.num_decoder_layers", "1")


def plan(*arguments):
    if not gpus._plugins():
        pytest.skip("the extra cuda is not installed")
    command = [sys.executable, "-m", "gr2_jax", "plan", *TINY, *arguments, "--json"]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ.copy(), timeout=900)


def test_a_tiny_step_and_its_search_are_planned_for_a_host():
    done = plan("--topology", "h100:8", "--mesh.data", "4", "--mesh.fsdp", "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 2, done.stderr  # what is compiled: the compiler itself is quiet
    result = json.loads(done.stdout)
    (figures,) = result["training"].values()
    assert figures["fits"]
    assert figures["chips"] == 8
    assert figures["parameters"] + figures["optimiser"] < figures["peak"] < figures["hbm"]
    assert figures["flops"] > 0
    assert set(figures["collectives"]) >= {"all-gather", "all-reduce"}
    assert "sent to other hosts" not in figures["collectives"]
    # the gradients of what fsdp splits are at least reduced over the data's devices
    assert sum(one["bytes"] for one in figures["collectives"].values()) >= figures["parameters"]
    assert result["search"]["fits"]
    assert result["search"]["chips"] == 8
    assert any("cuDNN" in assumption for assumption in result["assumptions"])


def test_hosts_send_each_other_the_gradients_of_every_layer():
    model = ("--retrieval.model.scan_layers", "True", "--retrieval.model.num_encoder_layers", "24")
    done = plan("--topology", "a100:2x2", "--mesh.replica", "2", "--mesh.data", "2", *model, "--no-search-step")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    (figures,) = result["training"].values()
    assert (result["slices"], figures["chips"]) == (2, 4)
    # the two GPUs of a host send half of them each
    assert figures["collectives"]["sent to other hosts"]["bytes"] >= figures["parameters"] / 2
