"""Jobs of several processes: killed, preempted, and resumed by other processes on other devices."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import sharded_cases
import virtual_devices

from gr2_jax.errors import RESTART
from gr2_jax.training.checkpoints import restore_params

pytestmark = pytest.mark.multiprocess
STEPS = 8


def job(directory, processes, *, steps=STEPS, mesh="data", seconds=0.0, devices=1):
    """Starts the processes of a job."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, str(Path(__file__).with_name("job_process.py")), str(directory), str(steps), mesh]
    started = []
    for place in range(processes):
        joined = {
            "JAX_COORDINATOR_ADDRESS": address,
            "JAX_NUM_PROCESSES": str(processes),
            "JAX_PROCESS_ID": str(place),
        }
        environment = virtual_devices.environment(devices) | (joined if processes > 1 else {})
        started.append(subprocess.Popen([*command, str(seconds)], env=environment, stderr=subprocess.PIPE, text=True))
    return started


def ended(hosts, code=0):
    try:
        said = [host.communicate(timeout=200)[1] for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    assert [host.returncode for host in hosts] == [code] * len(hosts), said
    return said


def final(directory, steps=STEPS):
    params, meta = restore_params(directory, sharded_cases.start("retrieval"))
    assert meta["step"] == steps
    return jax.tree.map(np.asarray, params)


def same(params, others):
    jax.tree.map(np.testing.assert_array_equal, params, others)


def close(params, others):
    """Equal up to rounding: sums over devices are taken in another order."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), params, others)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("undisturbed")
    ended(job(directory, 2, mesh="fsdp"))
    return final(directory)


def wait_for(path, hosts):
    deadline = time.monotonic() + 150
    while not path.is_dir():
        assert all(host.poll() is None for host in hosts), [host.communicate() for host in hosts]
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.02)


def test_one_of_two_is_killed_and_both_restart(undisturbed, tmp_path):
    hosts = job(tmp_path, 2, mesh="fsdp", seconds=0.3)
    wait_for(tmp_path / "4", hosts)
    hosts[1].kill()
    hosts[1].wait()
    begun = time.monotonic()
    said = hosts[0].communicate(timeout=60)[1]
    assert time.monotonic() - begun < 20, said  # by a broken collective, or by the heartbeat of 12 s
    assert hosts[0].returncode != 0
    assert not (tmp_path / str(STEPS)).is_dir()
    ended(job(tmp_path, 2, mesh="fsdp"))
    same(final(tmp_path), undisturbed)


def test_sigterm_to_one_makes_both_save_and_exit_at_one_step(undisturbed, tmp_path):
    hosts = job(tmp_path, 2, mesh="fsdp", seconds=0.5)
    wait_for(tmp_path / "2", hosts)
    hosts[1].send_signal(signal.SIGTERM)
    said = ended(hosts, RESTART)
    places = {text.splitlines()[-1] for text in said}
    assert len(places) == 1
    assert "preempted, and saved at step" in places.pop()
    ended(job(tmp_path, 2, mesh="fsdp"))
    same(final(tmp_path), undisturbed)


def test_four_processes_train_what_two_do(undisturbed, tmp_path):
    ended(job(tmp_path, 4))
    close(final(tmp_path), undisturbed)


@pytest.mark.parametrize(("first", "then"), [((2, 1), (1, 8)), ((1, 8), (2, 1)), ((4, 1), (2, 1))])
def test_another_number_of_processes_and_devices_resumes(undisturbed, tmp_path, first, then):
    """With the batches that it would have had: others would give other parameters."""
    ended(job(tmp_path, first[0], steps=4, mesh="fsdp", devices=first[1]))
    final(tmp_path, 4)
    ended(job(tmp_path, then[0], mesh="fsdp", devices=then[1]))
    close(final(tmp_path), undisturbed)
