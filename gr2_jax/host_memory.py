"""The C library's allocator, set for programs that free and ask for the same gigabytes at every step."""

import ctypes
import importlib.util
import os

_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD = -8, -4, -1  # malloc.h


def on_cpu_only() -> bool:
    """Whether JAX will find nothing but the CPU, told without starting it."""
    plugins = ("libtpu", "jax_plugins")
    return os.environ.get("JAX_PLATFORMS") == "cpu" or not any(importlib.util.find_spec(name) for name in plugins)


def keep_freed_memory() -> bool:
    """Makes glibc keep freed memory for the next request; returns whether there is a glibc to tell.

    XLA on CPU asks for a step's buffers and frees them at its end. By default each goes back to the system, and the
    kernel clears every page of them again at the next step (tests/benchmarks/RESULTS.md has what that costs). The
    process then keeps its peak memory until it ends. To be called before other threads start, and where
    the CPU does the computing: threads that prepare batches would wait for each other.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # one arena, grown and not mapped piece by piece, and never cut back: -1 is the largest size
    return all([mallopt(_ARENA_MAX, 1), mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, -1)])
