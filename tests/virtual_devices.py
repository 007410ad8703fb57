"""Processes that see the CPU as several devices."""

import os
import subprocess
import sys

_THREADS = 4  # for each device


def environment(devices: int = 1) -> dict[str, str]:
    """XLA's pool has a thread per device by default. A device that waits in two collectives at once takes two, another
    device then has none, and all wait until XLA aborts after 40 seconds."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    own = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "NPROC": str(_THREADS * devices), "PYTHONPATH": path}
    return os.environ | own


def run(devices: int, *command: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Runs Python with the arguments `command`; if it fails, the test shows the end of what it wrote."""
    done = subprocess.run(
        [sys.executable, *command], env=environment(devices), capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stderr[-4000:]}"
    return done
