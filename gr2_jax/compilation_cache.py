"""Compiled programs kept on disk between processes, so that only the first search or training of a kind compiles."""

import hashlib
import os
import platform
import sys
from pathlib import Path

from gr2_jax.buckets import check_reachable

VARIABLE = "GR2_COMPILATION_CACHE"
"""A folder for compiled programs, also in a bucket, or `off`; by default ~/.cache/gr2_jax/compiled."""

_SETTINGS = {
    "jax_compilation_cache_max_size": 2 << 30,  # bytes: what was not used for longest goes first
    "jax_persistent_cache_min_compile_time_secs": 0.3,
}


_IN_A_BUCKET = {"jax_compilation_cache_max_size": -1, "jax_persistent_cache_enable_xla_caches": "none"}
"""There nothing is ever removed, since that needs locks, and XLA writes files of its own on disk only."""


def keep_compiled_programs() -> Path | str | None:
    """Sets JAX's persistent compilation cache, unless it is set already or the variable GR2_COMPILATION_CACHE is `off`;
    returns the folder, or the bucket's URL, that it sets. Without a folder that can be written it does nothing."""
    asked = os.environ.get(VARIABLE, "")
    if asked.lower() == "off" or _is_set():
        return None
    if "://" in asked:
        check_reachable(asked)
        os.environ.setdefault("EPATH_USE_TF", "false")  # TensorFlow would be loaded, and has stores of its own
        url = f"{asked.rstrip('/')}/{_processor()}"
        _set(_IN_A_BUCKET | {"jax_compilation_cache_dir": url})
        return url
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "gr2_jax" / "compiled"
    try:
        folder = (Path(asked or base) / _processor()).expanduser().absolute()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home
        return None
    if not os.access(folder, os.W_OK):
        return None
    _set({"jax_compilation_cache_dir": str(folder)})
    return folder


def _set(settings: dict[str, str | int]) -> None:
    for name, value in (_SETTINGS | settings).items():
        if "jax" in sys.modules:
            sys.modules["jax"].config.update(name, value)
        else:  # JAX reads it when it is imported, which may be never
            os.environ.setdefault(name.upper(), str(value))


def _is_set() -> bool:
    if "jax" in sys.modules:
        return sys.modules["jax"].config.jax_compilation_cache_dir is not None
    return "JAX_COMPILATION_CACHE_DIR" in os.environ


def _processor() -> str:
    """A name for the kind of processor: a program for one may use instructions that another does not have."""
    features = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        features += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        pass  # another system
    return f"{platform.machine()}-{hashlib.blake2b(features.encode(), digest_size=4).hexdigest()}"
