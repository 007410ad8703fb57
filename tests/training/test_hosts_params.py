"""Parameters that two processes hold together, for a search that each of them makes alone."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import jax
import pytest
import virtual_devices


@pytest.mark.multiprocess
def test_each_of_two_hosts_gets_all_parameters_divided_over_its_own_devices():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, str(Path(__file__).with_name("hosts_params.py")), address]
    # programs that one process keeps do not fit those that the other compiles
    environment = virtual_devices.environment(2) | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    hosts = [subprocess.Popen([*command, str(i)], stdout=subprocess.PIPE, env=environment) for i in range(2)]
    try:
        seen = [json.loads(host.communicate(timeout=120)[0].splitlines()[-1]) for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    assert len(set(map(str, (host["devices"] for host in seen)))) == 2
    for host in seen:
        assert len(host["devices"]) == 2
        assert host["largest part"] == 8 * 12 // 2
        assert all(jax.tree.leaves(host["equal"]))
