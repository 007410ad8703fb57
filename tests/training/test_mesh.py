"""Eight (simulated) devices do what one does: batch placement, an update, a checkpoint restored on other devices."""

import json
import os
from types import SimpleNamespace

import jax
import mesh_step
import numpy as np
import pytest
import virtual_devices

from gr2_jax.training.checkpoints import restore_params
from gr2_jax.training.mesh import devices_in_words, make_mesh, put_batch


@pytest.fixture(scope="module", params=["embedding", "fusion", pytest.param("retrieval", marks=pytest.mark.slow)])
def on_eight(request, tmp_path_factory):
    """(the loss, the directory of its run, what the process with eight devices printed)."""
    directory = tmp_path_factory.mktemp("eight")
    done = virtual_devices.run(8, mesh_step.__file__, str(directory), request.param)
    return request.param, directory, json.loads(done.stdout)


def test_rows_are_split_where_they_divide_evenly(on_eight):
    placed = on_eight[2]["placed"]
    assert placed["query_tokens"] == {"spec": [["replica", "data", "fsdp"]], "shards": [[1, 4]] * 8}
    assert placed["docid_rows"] == {"spec": [["replica", "data", "fsdp"]], "shards": [[1, 2]] * 8}


def test_rows_that_do_not_divide_evenly_are_replicated(on_eight):
    placed = on_eight[2]["placed"]
    assert placed["indexing_tokens"] == {"spec": [], "shards": [[6, 4]] * 8}
    assert placed["indexing_rows"] == {"spec": [], "shards": [[6]] * 8}


def test_an_update_on_eight_devices_equals_that_on_one(on_eight, tmp_path):
    """The embedding loss' own random numbers included; a model's dropout depends on the mesh."""
    assert jax.device_count() == 1
    name, directory, seen = on_eight
    meta = mesh_step.train_one_step(tmp_path, name)
    np.testing.assert_allclose(seen["meta"]["loss"], meta["loss"], rtol=1e-5)
    start = mesh_step.start(name)
    (eight, _), (one, _) = restore_params(directory, start), restore_params(tmp_path, start)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7), eight, one)
    moved = jax.tree.map(lambda x, y: np.abs(x - y).max(), one, start)
    assert max(jax.tree.leaves(moved)) > 0.01


def test_one_device_resumes_from_a_checkpoint_of_eight(on_eight):
    name, directory, seen = on_eight
    resumed = mesh_step.train_one_step(directory, name)
    assert resumed.pop("devices") != seen["meta"]["devices"]
    assert resumed.pop("attention") == {}  # no step was left to do
    assert resumed == {key: value for key, value in seen["meta"].items() if key not in ("devices", "attention")}


def test_the_forms_of_attention_in_the_step_are_on_record(on_eight):
    name, _, seen = on_eight
    forms = seen["meta"]["attention"]
    assert bool(forms) == (name != "embedding")  # which has none
    assert set(forms) <= {"xla", "recompute"}
    if name == "retrieval":  # without encoder layers: docids over docids, and over queries and texts
        assert {shape for shapes in forms.values() for shape in shapes} == {"3x3", "3x4"}


def test_one_device_holds_everything():
    placed = put_batch(lambda step, host, hosts: {"rows": np.arange(5)}, 0, make_mesh())
    np.testing.assert_array_equal(placed["rows"], np.arange(5))


@pytest.mark.parametrize(
    ("platform", "kinds", "processes", "words"),
    [
        ("cpu", ["cpu"], 1, "on 1 CPU device (2 cores)"),
        ("cpu", ["cpu"] * 8, 2, "on 8 CPU devices in 2 processes (2 cores)"),
        ("gpu", ["NVIDIA H100"] * 8, 1, "on 8 devices: NVIDIA H100"),
        ("tpu", ["TPU v5 lite"], 1, "on 1 device: TPU v5 lite"),
        ("gpu", ["NVIDIA H200", "NVIDIA H100"], 2, "on 2 devices in 2 processes: NVIDIA H100, NVIDIA H200"),
    ],
)
def test_devices_in_words(monkeypatch, platform, kinds, processes, words):
    devices = [SimpleNamespace(platform=platform, device_kind=kind) for kind in kinds]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(jax, "process_count", lambda: processes)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert devices_in_words() == words
