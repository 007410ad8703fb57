"""Tunes the C library's allocator for programs that free and reallocate the same gigabytes at every step."""

import ctypes
import importlib.util
import os

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
