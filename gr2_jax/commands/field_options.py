"""A dataclass of options as a command's flags: their names, types, defaults and help are those of its fields."""

import argparse
import dataclasses
from collections.abc import Mapping
from typing import TypeVar

Options = TypeVar("Options")


def add_fields(parser: argparse.ArgumentParser, kind: type) -> None:
    """Adds a flag for each field, whose metadata holds its "help"."""
    for field in dataclasses.fields(kind):
        flag = "--" + field.name.replace("_", "-")
        text = f"{field.metadata['help']} (default: {field.default})".replace("%", "%%")
        parser.add_argument(flag, type=type(field.default), default=field.default, help=text)


def from_flags(kind: type[Options], options: argparse.Namespace) -> Options:
    return kind(**{field.name: getattr(options, field.name) for field in dataclasses.fields(kind)})


def counts_as_lines(counts: Mapping[str, int]) -> str:
    """The counts of a build, one a line."""
    width = max(map(len, counts))
    return "\n".join(f"{name:{width}}  {count:>14,}" for name, count in counts.items())
