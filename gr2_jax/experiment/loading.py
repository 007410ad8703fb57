"""An experiment from a config file, from the command line, and from a run's config.json."""

import ast
import dataclasses
import importlib.util
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Literal, TypeVar

from gr2_jax.buckets import local_copy
from gr2_jax.errors import SettingError, UserError, nearest
from gr2_jax.experiment.experiment import Experiment, Settings
from gr2_jax.experiment.row import Row
from gr2_jax.experiment.scheme import Scheme

AnySettings = TypeVar("AnySettings", bound=Settings)


def load_experiment(path: str | Path, *overlays: str | Path) -> Settings:
    """Runs a config file and returns its `experiment`, changed by the `overlay(experiment)` of each further file, from
    left to right. The files are Python and are trusted like any program.

    Raises `UserError` for a file that is missing, does not load or holds the wrong one of the two, and for an overlay
    that fails or returns something else than it was given.
    """
    module = run_file(local_copy(path))
    experiment = getattr(module, "experiment", None)
    if not isinstance(experiment, Settings):
        if callable(getattr(module, "overlay", None)):
            raise UserError(f"{path} is an overlay, which changes an experiment: give a config file before it")
        if hasattr(module, "study"):
            raise UserError(f"{path} is a study: gr2 study {path}")
        raise UserError(f"{path} defines no `experiment = Experiment(...)` or `Pretraining(...)`")
    for overlay in overlays:
        experiment = lay_over(overlay, experiment)
    return experiment


def lay_over(path: str | Path, experiment: AnySettings) -> AnySettings:
    """The experiment as the `overlay(experiment)` of a file changes it; raises `UserError` as `load_experiment`."""
    module = run_file(local_copy(path))
    overlay = getattr(module, "overlay", None)
    if not callable(overlay):
        whole = isinstance(getattr(module, "experiment", None), Settings)
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


def run_file(path: Path) -> ModuleType:
    """The module that a config file is; `UserError` where there is none or it does not load."""
    if not path.is_file():
        beside = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise UserError(f"there is no config file {path}" + (f": {nearest(path.name, beside)}" if beside else ""))
    spec = importlib.util.spec_from_file_location(f"gr2_config_{path.stem}", path)
    if spec is None:
        raise UserError(f"{path} is no config file: its name does not end in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:  # whatever a program can raise
        raise UserError(f"{path} does not load: {type(error).__name__}: {error}") from error
    return module


def override(experiment: AnySettings, arguments: Sequence[str]) -> AnySettings:
    """Applies `--section.field value` (or `--section.field=value`) pairs, all at once.

    Rows and docid schemes are sections under their names: `--rows.MLE.steps_factor 2`, `--docids.schemes.rq.codes 64`.
    A change to `retrieval.objective` also reaches every row that has an objective of its own, unless the row differs
    from the section in that field or is given it here. `UserError` names the nearest valid field.
    """
    changes: dict = {}
    for flag, text in _pairs(arguments):
        _note(experiment, flag[2:], text, flag, changes)
    changed = _rebuilt(experiment, changes, "--")
    fields = changes.get("retrieval", {}).get("objective", {})
    if not fields or not isinstance(changed, Experiment):
        return changed
    return _in_rows(experiment, changed, fields, changes.get("rows", {}))


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
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
        yield flag, words.pop(0)


def _note(node: Any, path: str, text: str, flag: str, changes: dict) -> None:
    """Enters the value into `changes`, a tree of field names and of places in tuples."""
    word, _, rest = path.partition(".")
    name, fields = word.replace("-", "_"), {field.name for field in dataclasses.fields(node)}
    if name not in fields:
        before, after = flag.removesuffix(path), f".{rest}" if rest else ""
        places = [f"'{before}{place}{after}'" for place in _deeper(node, name)]
        hint = f"did you mean {' or '.join(places)}?" if places else nearest(name, fields)
        raise UserError(f"{flag}: {type(node).__name__} has no field '{name}': {hint}")
    value = getattr(node, name)
    if isinstance(value, tuple) and value and isinstance(value[0], Row | Scheme):
        place, rest = _named(value, rest, flag)
        if not rest:
            raise UserError(f"{flag} is a section: give one of its fields, {_fields(value[place])}")
        _note(value[place], rest, text, flag, changes.setdefault(name, {}).setdefault(place, {}))
    elif dataclasses.is_dataclass(value):
        if not rest:
            raise UserError(f"{flag} is a section: give one of its fields, {_fields(value)}")
        _note(value, rest, text, flag, changes.setdefault(name, {}))
    elif rest:
        raise UserError(f"{flag}: '{name}' has no fields" + " here: it is not set" * (value is None))
    else:
        changes[name] = _parse(text, typing.get_type_hints(type(node))[name], flag)


def _deeper(node: Any, name: str, path: str = "") -> Iterator[str]:
    """The paths of the fields of this name in the sections within a section."""
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if path and field.name == name:
            yield f"{path}{name}"
        elif dataclasses.is_dataclass(value):
            yield from _deeper(value, name, f"{path}{field.name}.")


def _named(items: Sequence[Row | Scheme], path: str, flag: str) -> tuple[int, str]:
    """The place of the row or scheme whose name the path begins with, and the rest; names may hold dots."""
    names = {item.name: place for place, item in enumerate(items)}
    if not path:
        raise UserError(f"{flag} holds several sections: add a name, {', '.join(names)}")
    found = [name for name in names if path == name or path.startswith(f"{name}.")]
    if not found:
        raise UserError(f"{flag}: there is no '{path.partition('.')[0]}': {nearest(path.partition('.')[0], names)}")
    name = max(found, key=len)
    return names[name], path[len(name) + 1 :]


def _fields(node: Any) -> str:
    return ", ".join(sorted(field.name for field in dataclasses.fields(node)))


def _rebuilt(node: Any, changes: Mapping, path: str) -> Any:
    """The section with all its changes at once: what one alone would break, another may mend."""
    if isinstance(node, tuple):
        return tuple(
            _rebuilt(item, changes[place], f"{path}{item.name}.") if place in changes else item
            for place, item in enumerate(node)
        )
    values = {
        name: _rebuilt(getattr(node, name), value, f"{path}{name}.") if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    try:
        return dataclasses.replace(node, **values)
    except SettingError as error:
        raise UserError(f"{path}{error.field} {error.fault}") from error


def _in_rows(before: Experiment, after: Experiment, fields: Mapping[str, Any], given: Mapping[int, Any]) -> Experiment:
    """`fields` of the objective in the rows that have their own; `given` are the changes to rows, by their places."""
    section = before.retrieval.objective

    def changed(place: int, row: Row) -> Row:
        own, by_name = getattr(row, "objective", None), given.get(place, {}).get("objective", {})
        if own is None:
            return row
        same = {n: v for n, v in fields.items() if n not in by_name and getattr(own, n) == getattr(section, n)}
        return dataclasses.replace(row, objective=dataclasses.replace(own, **same))

    return dataclasses.replace(after, rows=tuple(changed(place, row) for place, row in enumerate(after.rows)))


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
    if dataclasses.is_dataclass(kind):
        raise UserError(f"{flag} cannot be given on the command line: write it in a config file")
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


def to_record(value: Any) -> Any:
    """An experiment as JSON can hold it; rows and schemes have their class's name under "kind"."""
    if dataclasses.is_dataclass(value):
        kind = {"kind": type(value).__name__} if isinstance(value, Row | Scheme) else {}
        return kind | {field.name: to_record(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return [to_record(item) for item in value] if isinstance(value, tuple) else value


def from_record(record: Mapping[str, Any], kinds: Mapping[str, type]) -> Experiment:
    """The experiment that `to_record` wrote; `kinds` are the classes of rows and schemes by name."""
    return _from_record(Experiment, record, kinds)


def _from_record(hint: Any, value: Any, kinds: Mapping[str, type]) -> Any:
    if typing.get_origin(hint) in (typing.Union, UnionType):
        if value is None:
            return None
        return _from_record(next(a for a in typing.get_args(hint) if a is not type(None)), value, kinds)
    if typing.get_origin(hint) is tuple:
        return tuple(_from_record(typing.get_args(hint)[0], part, kinds) for part in value)
    if not dataclasses.is_dataclass(hint):
        if isinstance(hint, type) and not isinstance(value, (int, float) if hint is float else hint):
            raise UserError(f"config.json: {value!r} is no {hint.__name__}")
        return value
    fields = dict(value)
    if issubclass(hint, Row | Scheme):
        name = fields.pop("kind", "")
        if name not in kinds:
            raise UserError(
                f"config.json: there is no {hint.__name__.lower()} of kind '{name}': {nearest(name, kinds)}"
            )
        hint = kinds[name]
    hints = typing.get_type_hints(hint)
    if unknown := set(fields) - set(hints):
        name = min(unknown)
        raise UserError(f"config.json: {hint.__name__} has no field '{name}': {nearest(name, hints)}")
    return hint(**{name: _from_record(hints[name], part, kinds) for name, part in fields.items()})
