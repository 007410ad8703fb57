"""The C library's allocator: for programs that reallocate the same gigabytes at every step, or that measure them."""

import ctypes
import importlib.util
import os
from pathlib import Path

from gr2_jax.errors import UserError
from gr2_jax.files import read_text

_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD = -8, -4, -1  # malloc.h


def on_cpu_only() -> bool:
    """Whether JAX will find nothing but the CPU; does not initialise JAX."""
    plugins = ("libtpu", "jax_plugins")
    return os.environ.get("JAX_PLATFORMS") == "cpu" or not any(importlib.util.find_spec(name) for name in plugins)


def keep_freed_memory() -> bool:
    """Makes glibc keep freed memory for the next allocation; returns whether the C library is glibc and agreed.

    XLA on CPU allocates a step's buffers and frees them when the step ends. By default they go back to the system, and
    the kernel clears every page again at the next step (costs: tests/benchmarks/RESULTS.md). With this setting the
    process keeps its peak memory until it ends. Call it before other threads start, and only if the CPU computes the
    steps: with a single arena, threads that prepare batches wait for each other.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # one arena that grows without mmap and never shrinks: -1 is the largest threshold
    return all([mallopt(_ARENA_MAX, 1), mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, -1)])


def give_back_freed_memory() -> None:
    """Makes glibc return what is freed to the system, so that what is taken next is seen as taken."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def own_memory() -> int:
    """Bytes of memory that the process holds alone, without files that are mapped: the system takes those back when
    others need it. Raises `UserError` where the system does not tell it."""
    lines = read_text(Path("/proc/self/status")).splitlines()
    found = next((line for line in lines if line.startswith("RssAnon")), None)
    if found is None:
        raise UserError("/proc/self/status does not tell the process's own memory (RssAnon): measure on Linux")
    return 1024 * int(found.split()[1])
