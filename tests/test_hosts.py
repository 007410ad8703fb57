"""Jobs that cannot work fail within seconds instead of hanging: nobody answers at the address, hosts see other folders
or have other settings."""

import os
import socket
import subprocess
import sys
import time

import pytest

from gr2_jax import hosts
from gr2_jax.errors import UserError


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def joining(monkeypatch, address, count="2", place="1"):
    for name, value in zip(hosts._VARIABLES, (address, count, place), strict=True):
        if value is not None:
            monkeypatch.setenv(name, value)


def test_nobody_at_the_address(monkeypatch):
    monkeypatch.setattr(hosts, "_PATIENCE", 1)
    address = f"127.0.0.1:{free_port()}"
    joining(monkeypatch, address)
    begun = time.monotonic()
    with pytest.raises(UserError, match=f"nobody answers at {address} within 1 s"):
        hosts.join_processes()
    assert time.monotonic() - begun < 5


def test_a_missing_variable_is_named(monkeypatch):
    joining(monkeypatch, "localhost:1", place=None)
    with pytest.raises(UserError, match="is set and JAX_PROCESS_ID is not: several processes need"):
        hosts.join_processes()


def test_a_variable_that_is_not_a_number_is_named(monkeypatch):
    joining(monkeypatch, "localhost:1", count="two")
    with pytest.raises(UserError, match=r"JAX_NUM_PROCESSES=two.*invalid literal"):
        hosts.join_processes()


def test_a_cluster_is_found_as_jax_finds_it(monkeypatch):
    """Each process then knows whom to call before JAX connects them."""
    found = {"JOB_ID": "4711", "STEP_NODELIST": "node[3-4]", "NTASKS": "2", "STEP_NUM_TASKS": "2", "PROCID": "1"}
    for name, value in {**found, "LOCALID": "0", "JOB_NODELIST": "node[3-4]"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    address, count, place, devices = hosts._detected(5)
    assert address.startswith("node3:")
    assert (count, place, devices) == (2, 1, [0])


def test_what_this_jax_does_not_detect_is_left_to_it(monkeypatch):
    def other_signature():
        raise AssertionError

    from jax._src.clusters import ClusterEnv

    monkeypatch.setattr(ClusterEnv, "auto_detect_unset_distributed_params", other_signature)
    assert hosts._detected(5) == (None, None, None, None)


PROGRAM = """
import sys
from pathlib import Path
from gr2_jax.hosts import agree, join_processes
from gr2_jax.errors import UserError
join_processes()
import gr2_jax.hosts
gr2_jax.hosts._SEEN_WITHIN = 1
try:
    agree(Path(sys.argv[1]), sys.argv[2])
except UserError as error:
    print(f"refused: {error}")
"""


@pytest.mark.multiprocess
@pytest.mark.parametrize(
    ("folders", "settings", "said"),
    [
        (("a", "a"), ("00000001", "00000001"), ""),
        (("a", "b"), ("00000001", "00000001"), "host 1 does not see"),
        (("a", "a"), ("00000001", "00000002"), "host 1 was started with other settings than host 0"),
    ],
)
def test_hosts_agree_or_all_refuse(tmp_path, folders, settings, said):
    address = f"127.0.0.1:{free_port()}"
    processes = []
    for place, (folder, fingerprint) in enumerate(zip(folders, settings, strict=True)):
        (tmp_path / folder).mkdir(exist_ok=True)
        joined = dict(zip(hosts._VARIABLES, (address, "2", str(place)), strict=True))
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / folder), fingerprint]
        environment = os.environ | {"JAX_PLATFORMS": "cpu"} | joined
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    try:
        printed = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    sentences = [[line for line in text.splitlines() if line.startswith("refused: ")] for text in printed]
    assert [len(lines) for lines in sentences] == [bool(said)] * 2, printed
    assert all(said in lines[0] for lines in sentences if said)
    assert [process.returncode for process in processes] == [0, 0]
    assert [path.name for folder in set(folders) for path in (tmp_path / folder).iterdir()] == []


@pytest.mark.parametrize("error", [UserError("no words"), PermissionError(13, "no words")])
def test_what_fails_on_one_process_fails_on_all(monkeypatch, error):
    def refuse():
        raise error

    told = []
    assert hosts.on_all(lambda: 3) == 3
    with pytest.raises(UserError, match="no words"):
        hosts.on_all(refuse)
    monkeypatch.setattr(hosts, "true_on_all", lambda here: told.append(here))
    with pytest.raises(UserError, match="no words"):
        hosts.on_all(refuse)
    assert told == [False]
    with pytest.raises(UserError, match="another process"):
        hosts.on_all(lambda: 3)
