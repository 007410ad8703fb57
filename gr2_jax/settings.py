"""An experiment from a config file, from the command line, and from a run's config.json."""

import ast
import dataclasses
import importlib.util
import typing
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Literal, TypeVar

from gr2_jax.config import Experiment, Pretraining
from gr2_jax.errors import UserError, nearest

Settings = TypeVar("Settings", Experiment, Pretraining)


def load_experiment(path: str | Path, *overlays: str | Path) -> Experiment | Pretraining:
    """Runs a config file and returns its `experiment`, changed by the `overlay(experiment)` of each further file, from
    left to right. The files are Python and are trusted like any program.

    Raises `UserError` for a file that is not there, does not load or holds the wrong one of the two, and for an overlay
    that fails or returns something else than it was given.
    """
    module = _run_file(Path(path))
    experiment = getattr(module, "experiment", None)
    if not isinstance(experiment, Experiment | Pretraining):
        if callable(getattr(module, "overlay", None)):
            raise UserError(f"{path} is an overlay, which changes an experiment: give a config file before it")
        raise UserError(f"{path} defines no `experiment = Experiment(...)` or `Pretraining(...)`")
    for overlay in overlays:
        experiment = _lay_over(Path(overlay), experiment)
    return experiment


def _lay_over(path: Path, experiment: Settings) -> Settings:
    module = _run_file(path)
    overlay = getattr(module, "overlay", None)
    if not callable(overlay):
        whole = isinstance(getattr(module, "experiment", None), Experiment | Pretraining)
        what = "is a config of its own: only the first file may be one" if whole else "is no overlay"
        raise UserError(f"{path} {what}; an overlay defines `overlay(experiment)`")
    try:
        changed = overlay(experiment)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:
        raise UserError(f"{path} fails on {experiment.name}: {type(error).__name__}: {error}") from error
    if type(changed) is not type(experiment):
        raise UserError(
            f"the overlay of {path} must return its {type(experiment).__name__}, not {type(changed).__name__}"
        )
    return changed


def _run_file(path: Path) -> ModuleType:
    if not path.is_file():
        beside = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise UserError(f"there is no config file {path}" + (f": {nearest(path.name, beside)}" if beside else ""))
    spec = importlib.util.spec_from_file_location(f"gr2_config_{path.stem}", path)
    if spec is None:
        raise UserError(f"{path} is no config file: its name does not end in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:  # whatever a program can raise
        raise UserError(f"{path} does not load: {type(error).__name__}: {error}") from error
    return module


def override(experiment: Settings, arguments: Sequence[str]) -> Settings:
    """Applies `--section.field value` (or `--section.field=value`) pairs; `UserError` names the nearest valid field."""
    words = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]
    seen = set()
    while words:
        flag = words.pop(0)
        if not flag.startswith("--"):
            late = "; config files and overlays come before the settings" * flag.endswith(".py")
            raise UserError(f"'{flag}' is no option: settings are written --section.field value{late}")
        if not words or words[0].startswith("--"):
            raise UserError(f"{flag} needs a value")
        if flag in seen:
            raise UserError(f"{flag} is given twice")
        seen.add(flag)
        experiment = _replace(experiment, flag[2:].replace("-", "_").split("."), words.pop(0), flag)
    return experiment


def _replace(node: Any, path: list[str], text: str, flag: str) -> Any:
    fields = {f.name for f in dataclasses.fields(node)}
    name, rest = path[0], path[1:]
    if name not in fields:
        raise UserError(f"{flag}: {type(node).__name__} has no field '{name}': {nearest(name, fields)}")
    value = getattr(node, name)
    if dataclasses.is_dataclass(value):
        if not rest:
            names = {f.name for f in dataclasses.fields(value)}
            raise UserError(f"{flag} is a section: give one of its fields, {', '.join(sorted(names))}")
        return dataclasses.replace(node, **{name: _replace(value, rest, text, flag)})
    if rest:
        raise UserError(f"{flag}: '{name}' has no fields")
    return dataclasses.replace(node, **{name: _parse(text, typing.get_type_hints(type(node))[name], flag)})


def _parse(text: str, kind: Any, flag: str) -> Any:
    """The text as the field's type: a number, a truth value, one of a Literal's words, a comma-separated tuple."""
    if typing.get_origin(kind) is Literal:
        if text not in typing.get_args(kind):
            raise UserError(f"{flag} is '{text}': {nearest(text, typing.get_args(kind))}")
        return text
    if typing.get_origin(kind) in (typing.Union, UnionType):
        if text.lower() == "none":
            return None
        return _parse(text, next(a for a in typing.get_args(kind) if a is not type(None)), flag)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        if dataclasses.is_dataclass(inner):
            raise UserError(f"{flag} cannot be given on the command line: write it in a config file")
        return tuple(_parse(word.strip(), inner, flag) for word in text.split(",") if word.strip())
    if kind is str:
        return text
    try:
        value = ast.literal_eval(text.capitalize() if kind is bool else text)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is kind:
            return value
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # what literal_eval says it raises
        pass
    wanted = "true or false" if kind is bool else f"a value of type {kind.__name__}"
    raise UserError(f"{flag} is '{text}', which is not {wanted}")


def experiment_from_json(record: dict[str, Any]) -> Experiment:
    """The experiment that a run's config.json holds."""
    return _from_json(Experiment, record)


def _from_json(kind: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        unknown = set(value) - set(hints)
        if unknown:
            name = min(unknown)
            raise UserError(f"config.json: {kind.__name__} has no field '{name}': {nearest(name, hints)}")
        return kind(**{name: _from_json(hints[name], part) for name, part in value.items()})
    if typing.get_origin(kind) is tuple:
        return tuple(_from_json(typing.get_args(kind)[0], part) for part in value)
    return value
