"""Queries and docids split over devices or processes: the same losses and gradients as on one device."""

import pickle
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
import sharded_losses
import virtual_devices
from sharded_losses import LOSSES, B, N


def start(devices: int, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, sharded_losses.__file__, *arguments]
    return subprocess.Popen(command, env=virtual_devices.environment(devices))


def wait(processes: list[subprocess.Popen], seconds: float) -> None:
    """Waits for all processes or kills all: if one fails, the others could wait for it forever."""
    try:
        assert [process.wait(timeout=seconds) for process in processes] == [0] * len(processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def on_eight(tmp_path_factory) -> dict:
    output = tmp_path_factory.mktemp("eight") / "seen.pkl"
    wait([start(8, "devices", str(output))], seconds=300)
    seen = pickle.loads(output.read_bytes())
    assert seen["devices"] == 8
    return seen


def checked(result):
    """The result; fails the test if the subprocess sent an error instead."""
    if isinstance(result, str):
        pytest.fail(result, pytrace=False)
    return result


def assert_close(ours, expected) -> None:
    """Loss and gradients agree, and the gradients are not zero."""
    np.testing.assert_allclose(ours[0], expected[0], rtol=1e-5)
    assert expected[0] != 0
    for gradient, wanted in zip(ours[1], expected[1], strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-6)
        assert np.abs(wanted).max() > 1e-3


@pytest.mark.parametrize("axis", ["Auto", "Explicit"])
@pytest.mark.parametrize("name", LOSSES)
def test_eight_devices_give_the_loss_and_gradients_of_one(on_eight, name, axis):
    sharded = checked(on_eight[axis][name])
    assert_close((sharded["value"], sharded["gradients"]), checked(on_eight["one"][name]))


@pytest.mark.parametrize("axis", ["Auto", "Explicit"])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_can_keep_the_sharding_of_the_embeddings(on_eight, name, axis):
    assert checked(on_eight[axis][name])["rows_per_device"] == [[B // 8] * 8, [N // 8] * 8]


@pytest.mark.parametrize("axis", ["Auto", "Explicit"])
def test_eight_devices_give_the_grade_matrix_of_one(on_eight, axis):
    ours, expected = checked(on_eight[axis]["grade_matrix"]), checked(on_eight["one"]["grade_matrix"])
    for array, wanted in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(array, wanted)


def free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def in_two_processes(tmp_path_factory) -> list[dict]:
    """The results of each of two processes, two devices each."""
    directory, address = tmp_path_factory.mktemp("processes"), free_address()
    outputs = [directory / f"{index}.pkl" for index in range(2)]
    wait([start(2, "process", str(output), address, str(i)) for i, output in enumerate(outputs)], seconds=180)
    seen = [pickle.loads(output.read_bytes()) for output in outputs]
    assert [(half["processes"], half["devices"]) for half in seen] == [(2, 4)] * 2
    return seen


@pytest.mark.multiprocess
@pytest.mark.parametrize("name", LOSSES)
def test_two_processes_give_the_loss_and_gradients_of_one(in_two_processes, name):
    (first, first_rows), (second, second_rows) = (checked(half[name]) for half in in_two_processes)
    assert first == second
    gradients = [np.concatenate(halves) for halves in zip(first_rows, second_rows, strict=True)]
    assert_close((first, gradients), sharded_losses.loss_and_gradients(name, sharded_losses.batch()))


def test_the_batch_covers_what_can_fail_between_processes():
    """A docid of only one half is relevant to a query of the other half, and a document occurs twice."""
    grades, mask = jax.device_get(sharded_losses.judgements(batch := sharded_losses.batch()))
    only_first = ~np.isin(batch["docid_rows"][: N // 2], batch["docid_rows"][N // 2 :])
    assert np.any(grades[B // 2 :, : N // 2][:, only_first & mask[: N // 2]] > 0)
    kept_half, dropped_half = set(batch["docid_rows"][: N // 2]), batch["docid_rows"][N // 2 :][~mask[N // 2 :]]
    assert np.any(np.isin(dropped_half[dropped_half >= 0], list(kept_half)))
