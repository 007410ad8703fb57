"""The public functions and classes of a library, each under one canonical name."""

import contextlib
import importlib
import io
import logging
import os
import pkgutil
import re
import sys
import types
import typing
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from gr2_jax.errors import UserError, reason_of
from gr2_jax.terminal import native_messages_hidden

# Modules that have no underscore but are not public, or whose import loads other frameworks or deprecated code.
_SKIPPED_MODULES = frozenset(
    {
        "cloud_tpu_init",
        "collect_profile",
        "compat",
        "compiler",
        "conftest",
        "convolve",
        "core",
        "cython_special",
        "distutils",
        "example_libraries",
        "experimental",
        "extend",
        "extern",
        "externals",
        "f2py",
        "fuzzing",
        "interpreters",
        "lib",
        "lite",
        "matlib",
        "mtrand",
        "python",
        "raw_ops",
        "setup",
        "testing",
        "tests",
        "tools",
        "tsl",
        "typing",
        "v2",
        "version",
    }
)
# Each shows objects of the others under its own names.
_TESTED_TOGETHER = frozenset({"numpy", "scipy", "jax", "jaxlib"})
# Libraries generate this text in the order of a set, which differs between processes.
_SET_OF_ARGUMENTS = re.compile(r"(argument\(s\) `*\{)([^{}]*)")
_GENERATED_EXAMPLES = re.compile(r"\n *Examples\n *-+\n *To use the distribution class.*", re.DOTALL)


@dataclass(frozen=True)
class ApiObject:
    """A public function or class: its canonical name, all its public names (sorted) and its raw docstring."""

    name: str
    aliases: tuple[str, ...]
    docstring: str


def public_objects(libraries: tuple[str, ...]) -> list[ApiObject]:
    """Returns the documented public functions and classes of the libraries, sorted by name, each object once.

    An object reachable under several names keeps them all as aliases. Its canonical name is chosen by these criteria,
    in this order: in its own library, equal to its `__name__`, in the fewest packages, in its own module, shortest,
    first in the alphabet.

    Raises UserError for a library that cannot be imported. What libraries print on import is not shown.
    """
    found: dict[int, tuple[object, list[str]]] = {}
    with _silence():
        if "numpy" in libraries:  # where it is imported it adds to numpy.sinc's docstring: then always
            importlib.import_module("scipy.signal")
        for module in (module for library in libraries for module in _modules_of(library)):
            for attribute, value in _public_members(module):
                found.setdefault(id(value), (value, []))[1].append(f"{module.__name__}.{attribute}")
    objects = [_describe(value, names) for value, names in found.values()]
    return sorted((o for o in objects if o.docstring.strip()), key=lambda o: o.name)


def _describe(value: object, names: list[str]) -> ApiObject:
    own_name = getattr(value, "__name__", "")
    own_module = getattr(value, "__module__", None) or ""
    own_library = own_module.split(".")[0]

    def rank(name: str) -> tuple[object, ...]:
        parts = name.split(".")
        at_home = ".".join(parts[:-1]) == own_module
        return parts[0] != own_library, parts[-1] != own_name, len(parts), not at_home, len(name), name

    return ApiObject(min(names, key=rank), tuple(sorted(names)), _docstring(value))


def _docstring(value: object) -> str:
    """The object's own docstring, the same in every process; "" where it is inherited from the type."""
    text = getattr(value, "__doc__", None)
    inherited = not isinstance(value, type) and text == type(value).__doc__
    return stable(text) if isinstance(text, str) and not inherited else ""


def stable(docstring: str) -> str:
    """Returns the docstring with generated lists in alphabetical order and without generated examples."""
    ordered = _SET_OF_ARGUMENTS.sub(lambda match: match[1] + ", ".join(sorted(re.split(r",\s+", match[2]))), docstring)
    return _GENERATED_EXAMPLES.sub("\n", ordered)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # as where training reads data: the first import decides
    nowhere = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            native_messages_hidden(),
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _modules_of(library: str) -> Iterator[types.ModuleType]:
    try:
        module = importlib.import_module(library)
    except (Exception, SystemExit) as error:
        raise UserError(f"the library {library} cannot be imported: {reason_of(error)}") from error
    return _public_modules(module)


def _public_modules(module: types.ModuleType) -> Iterator[types.ModuleType]:
    yield module
    for info in sorted(pkgutil.iter_modules(getattr(module, "__path__", ())), key=lambda info: info.name):
        if _is_skipped(info.name):
            continue
        # A submodule that cannot be imported (an optional dependency, a removed API) is skipped.
        with contextlib.suppress(Exception, SystemExit):
            yield from list(_public_modules(importlib.import_module(f"{module.__name__}.{info.name}")))


def _is_skipped(name: str) -> bool:
    return name.startswith(("_", "test")) or name.endswith("_pb2") or name in _SKIPPED_MODULES


def _public_members(module: types.ModuleType) -> Iterator[tuple[str, object]]:
    root = module.__name__.split(".")[0]
    for name in sorted(set(getattr(module, "__all__", None) or dir(module))):
        if name.startswith("_"):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # deprecated names warn on access
                value = getattr(module, name)
        except Exception:
            continue
        listed = name in getattr(module, "__all__", ())
        if _is_documentable(value) and _belongs(value, root, listed):
            yield name, value


def _is_documentable(value: object) -> bool:
    if isinstance(value, types.ModuleType | types.GenericAlias | types.UnionType | typing.TypeVar):
        return False
    return callable(value) and type(value).__module__ != "typing"


def _belongs(value: object, root: str, listed: bool) -> bool:
    """Whether the object is defined in one of these libraries and not re-exported, such as `functools.partial`.

    A library may show another's functions as its own: to pre-train on these would be to see the other's tests. Modules
    of Python are written in others, as `os` is in posix: there what `__all__` lists counts.
    """
    home = _home(value, root)
    if root in _TESTED_TOGETHER:
        return home in _TESTED_TOGETHER
    return home == root or (listed and {home, root} <= sys.stdlib_module_names)


def _home(value: object, root: str) -> str:
    """The library that defines an object; `root` where neither the object nor its type says so. Methods that stand as
    functions, as numpy.random's do, are of the library of their object."""
    if own := getattr(value, "__module__", None):
        return own.split(".")[0]
    owners = [type(one).__module__ for one in (getattr(value, "__self__", None), value)]
    return next((name.split(".")[0] for name in owners if name != "builtins"), root)
