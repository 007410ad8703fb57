"""The public functions and classes of a library, each under one canonical name."""

import contextlib
import importlib
import pkgutil
import re
import types
import typing
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

# Modules that have no underscore but are not public, or whose import loads other frameworks or deprecated code.
_SKIPPED_MODULES = frozenset(
    {
        "cloud_tpu_init",
        "collect_profile",
        "conftest",
        "convolve",
        "core",
        "cython_special",
        "distutils",
        "example_libraries",
        "experimental",
        "extend",
        "f2py",
        "interpreters",
        "lib",
        "matlib",
        "mtrand",
        "setup",
        "testing",
        "tests",
        "tools",
        "typing",
        "version",
    }
)
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
    """
    found: dict[int, tuple[object, list[str]]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "numpy" in libraries:  # where it is imported it adds to numpy.sinc's docstring: then always
            importlib.import_module("scipy.signal")
        for module in (module for library in libraries for module in _public_modules(library)):
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


def _public_modules(library: str) -> Iterator[types.ModuleType]:
    module = importlib.import_module(library)
    yield module
    for info in sorted(pkgutil.iter_modules(getattr(module, "__path__", ())), key=lambda info: info.name):
        if info.name.startswith(("_", "test")) or info.name in _SKIPPED_MODULES:
            continue
        # A submodule that cannot be imported (an optional dependency, a removed API) is skipped.
        with contextlib.suppress(Exception):
            yield from list(_public_modules(f"{library}.{info.name}"))


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
        if _is_documentable(value) and _belongs(value, root):
            yield name, value


def _is_documentable(value: object) -> bool:
    if isinstance(value, types.ModuleType | types.GenericAlias | types.UnionType | typing.TypeVar):
        return False
    return callable(value) and type(value).__module__ != "typing"


def _belongs(value: object, root: str) -> bool:
    """Whether the object is defined in one of these libraries and not re-exported, such as `functools.partial`."""
    home = (getattr(value, "__module__", None) or root).split(".")[0]
    return home in {"numpy", "scipy", "jax", "jaxlib", root}
