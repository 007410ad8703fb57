"""Traced programs kept on disk, beside JAX's compiled ones.

JAX finds a compiled program by its lowered form, and for a small search tracing and lowering take longer than all else.
A program that is loaded in its lowered form (StableHLO, by `jax.export`) needs neither.
"""

import functools
import hashlib
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export

from gr2_jax.decoding import SearchResult, TrieArrays
from gr2_jax.decoding.nearest import Vectors
from gr2_jax.errors import UserError
from gr2_jax.files import replacing
from gr2_jax.search.compiled_search import JointDocids, Program

_KEPT = 100  # files; of more, those that were used longest ago are deleted
_DIGEST = 32  # bytes
_LIBRARIES = ("jax", "jaxlib", "flax", "numpy")
_FLAGS = ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion", "jax_default_prng_impl")

for _kind in (JointDocids, SearchResult, TrieArrays, Vectors):
    export.register_namedtuple_serialization(_kind, serialized_name=f"gr2_jax.{_kind.__name__}")


def kept_program(make: Callable[..., Program], *settings: Any, **named: Any) -> Program:
    """`make(*settings, **named)`, whose traced form is kept for later processes where JAX keeps compiled programs.

    The traced form is found by everything that it depends on: `make` and its arguments, the shapes it is called with,
    this package's sources, JAX's version and settings. It is for one device: with several, nothing is kept.

    Args:
        make: A function of a module that makes a compiled program from `settings` and `named` alone: arrays, numbers,
            strings, tuples, None, and Flax modules.
    """
    folder = _folder()
    if folder is None:
        return make(*settings, **named)
    about = [make.__qualname__, *map(_told, settings), *(f"{name}={_told(value)}" for name, value in named.items())]
    programs: dict[str, Program] = {}

    def program(*arguments: Any) -> SearchResult:
        leaves, tree = jax.tree.flatten(arguments)
        flags = [f"{name}={getattr(jax.config, name)}" for name in _FLAGS]
        shapes = f"{tree} {[(leaf.shape, leaf.dtype.name) for leaf in leaves]} {flags}"
        if shapes not in programs:
            name = _digest("\n".join([*about, shapes, _surroundings()]).encode()).hex()
            path = folder / f"{name}.program"
            exported = _read(path)
            if exported is None:
                exported = export.export(make(*settings, **named))(*arguments)
                _write(path, exported.serialize())
            programs[shapes] = jax.jit(exported.call)
        return programs[shapes](*arguments)

    return program


def _folder() -> Path | None:
    place = jax.config.jax_compilation_cache_dir
    asked = bool(place) and jax.config.jax_enable_compilation_cache and "://" not in place
    return Path(place) / "traced" if asked and jax.device_count() == 1 else None


def _told(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name}{value.shape}{_digest(value.tobytes()).hex()}"
    return repr(value)


@functools.cache
def _surroundings() -> str:
    """What a traced program depends on beside its settings and shapes."""
    package = Path(__file__).parents[1]
    sources = b"".join(path.read_bytes() for path in sorted(package.rglob("*.py")))
    libraries = [f"{name} {version(name)}" for name in _LIBRARIES]
    platform = f"{jax.default_backend()} {jax.devices()[0].client.platform_version}"
    return "\n".join([platform, _digest(sources).hex(), *libraries])


def _read(path: Path) -> export.Exported | None:
    """The program of a file, None where there is none or it is damaged."""
    try:
        content = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    digest, program = content[:_DIGEST], content[_DIGEST:]
    return export.deserialize(bytearray(program)) if digest == _digest(program) else None


def _write(path: Path, program: bytes) -> None:
    """Does nothing where the folder cannot be written."""
    try:
        with replacing(path, f".{os.getpid()}.partial") as partial:
            partial.write_bytes(_digest(program) + program)
        for old in sorted(path.parent.glob("*.program"), key=lambda file: file.stat().st_mtime)[:-_KEPT]:
            old.unlink(missing_ok=True)
    except (OSError, UserError):
        pass


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()
