"""Every field of an experiment: its value, its default, and what it means, as its class's docstring says."""

import dataclasses
import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gr2_jax.errors import UserError, nearest
from gr2_jax.experiment.experiment import Settings
from gr2_jax.experiment.loading import to_record
from gr2_jax.experiment.row import Row
from gr2_jax.experiment.scheme import Scheme

REQUIRED = dataclasses.MISSING
"""The default of a field that has none."""

_ENTRY = re.compile(r"(\w+(?:, \w+)*) {2,}(\S.*)")


class Field(NamedTuple):
    """A field that the command line can change or, of a row or a docid scheme, the line that names its kind.

    path       as `--path value` writes it, such as retrieval.optimiser.steps
    default    REQUIRED for a field without one
    meaning    one line
    """

    path: str
    value: Any
    default: Any
    meaning: str

    @property
    def is_changed(self) -> bool:
        """Whether the value is another than the default."""
        return self.default is not REQUIRED and self.value != self.default


def fields_of(experiment: Settings, sections: Sequence[str] = ()) -> list[Field]:
    """All fields of an experiment in the order of its sections, or those of the `sections` alone, such as
    retrieval.batch or rows.GR2S. Raises `UserError` for a section that there is not."""
    default = type(experiment)(name=experiment.name)
    found = list(_walk(experiment, default, ""))
    wanted = [section.removeprefix("--").replace("-", "_") for section in sections]
    for asked, section in zip(sections, wanted, strict=True):
        if not any(_is_within(field.path, section) for field in found):
            raise UserError(f"there is no section or field '{asked}': {nearest(section, _prefixes(found))}")
    return [field for field in found if not wanted or any(_is_within(field.path, section) for section in wanted)]


def meanings(section: type) -> dict[str, str]:
    """Field -> one line of meaning, from the lines `field    meaning` of the class's docstring and its bases'."""
    found: dict[str, str] = {}
    for kind in reversed(section.__mro__):
        if dataclasses.is_dataclass(kind):
            found |= _entries(inspect.cleandoc(kind.__doc__ or ""))
    return {field.name: found[field.name] for field in dataclasses.fields(section) if field.name in found}


def summary(section: type) -> str:
    """The first sentence, or line, of a class's docstring."""
    return inspect.cleandoc(section.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def _entries(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    names: list[str] = []
    for line in text.splitlines():
        if entry := _ENTRY.fullmatch(line):
            names = entry[1].split(", ")
            found |= dict.fromkeys(names, entry[2])
        elif line.startswith(" ") and names:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            names = []
    return found


def _walk(section: Any, default: Any, path: str) -> Iterator[Field]:
    told = meanings(type(section))
    for field in dataclasses.fields(section):
        value, usual = getattr(section, field.name), _default(field, section, default)
        if dataclasses.is_dataclass(value):
            yield from _walk(value, usual, f"{path}{field.name}.")
        elif value and isinstance(value, tuple) and isinstance(value[0], Row | Scheme):
            for item in value:
                place = f"{path}{field.name}.{item.name}"
                yield Field(place, type(item).__name__, REQUIRED, summary(type(item)))
                yield from _walk(item, None, f"{place}.")
        else:
            yield Field(f"{path}{field.name}", to_record(value), to_record(usual), told.get(field.name, ""))


def _default(field: dataclasses.Field, section: Any, default: Any) -> Any:
    """In the section that the experiment would have by default or, where that is of another kind, in the class."""
    if type(default) is type(section):
        return getattr(default, field.name)
    return field.default if field.default_factory is REQUIRED else field.default_factory()


def _is_within(path: str, section: str) -> bool:
    path = path.replace("-", "_")
    return path == section or path.startswith(f"{section}.")


def _prefixes(fields: Sequence[Field]) -> set[str]:
    parts = [field.path.split(".") for field in fields]
    return {".".join(words[:length]) for words in parts for length in range(1, len(words) + 1)}
