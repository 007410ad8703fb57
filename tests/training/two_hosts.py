"""A program of this folder, started as the two processes of a job."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def printed_by_two(program: str, environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """The JSON object that each of `python PROGRAM ADDRESS 0` and `... 1` prints last; it must fit a pipe, since the
    processes end together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, str(Path(__file__).with_name(program)), address]
    own = os.environ | environment
    hosts = [subprocess.Popen([*command, str(i)], stdout=subprocess.PIPE, env=own) for i in range(2)]
    try:
        return [json.loads(host.communicate(timeout=120)[0].splitlines()[-1]) for host in hosts]
    finally:
        for host in hosts:
            host.kill()
            host.wait()
