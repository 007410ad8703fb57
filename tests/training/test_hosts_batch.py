"""Two processes, each with its part of the data, make one batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hosts_batch import STEP, batches


@pytest.mark.multiprocess
def test_two_hosts_bring_the_two_halves_of_one_host_s_batch():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, str(Path(__file__).with_name("hosts_batch.py")), address]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    hosts = [subprocess.Popen([*command, str(i)], stdout=subprocess.PIPE, env=environment) for i in range(2)]
    try:
        seen = [json.loads(host.communicate(timeout=120)[0].splitlines()[-1]) for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    for name, value in batches()(STEP).items():
        halves = [host["own"][name] for host in seen]
        assert halves[0] != halves[1] or name in ("grades", "judged_grades")
        np.testing.assert_array_equal(np.concatenate(halves), value)
        for host in seen:
            np.testing.assert_array_equal(host["whole"][name], value)
