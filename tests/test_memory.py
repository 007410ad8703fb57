"""Freed memory is kept: the second time, the same megabytes cost no page faults. In a process of its own."""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, resource, sys
from gr2_jax.memory import keep_freed_memory

if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("no glibc")
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
size = 200 << 20

def touch():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = c.malloc(size)
    ctypes.memset(block, 1, size)
    c.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

touch()
print(touch())
"""


def _faults(mode):
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, timeout=60)
    if "no glibc" in done.stderr:
        pytest.skip("the C library is not glibc")
    return int(done.stdout)


def test_kept_memory_costs_no_page_faults():
    assert _faults("keep") < 100
    assert _faults("leave") > 50  # huge pages or small ones: 200 MB are at least 100 of 2 MB
