"""`gr2 config show [CONFIG [OVERLAY ...]] [SECTION ...]`: every field of an experiment, and what it means."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gr2_jax.errors import UserError, nearest
from gr2_jax.terminal import show, show_json

if TYPE_CHECKING:
    from gr2_jax.experiment.fields import Field

HELP = "every setting of a config, with its value, its default and what it means"

_WIDEST = 40  # columns of a value; a longer one, such as a path, moves its meaning to the right


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", help="show")
    parser.add_argument(
        "config",
        nargs="*",
        help="a config file and overlays (default: the quickstart's), and sections that are shown alone, such as "
        "retrieval.batch",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    if options.action != "show":
        raise UserError(f"there is no `gr2 config {options.action}`: {nearest(options.action, ['show'])}")
    from gr2_jax.experiment.fields import fields_of
    from gr2_jax.experiment.loading import load_experiment, override
    from gr2_jax.recipes.quickstart import DEFAULT

    files = [word for word in options.config if _is_file(word)]
    sections = [word for word in options.config if not _is_file(word)]
    experiment = override(load_experiment(*files) if files else DEFAULT, settings)
    fields = fields_of(experiment, sections)
    if options.json:
        show_json({field.path: _record(field) for field in fields})
    else:
        show("\n".join(_lines(fields, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)))
    return 0


def _is_file(word: str) -> bool:
    return word.endswith(".py") or os.sep in word


def _record(field: "Field") -> dict[str, Any]:
    from gr2_jax.experiment.fields import REQUIRED

    default = {} if field.default is REQUIRED else {"default": field.default}
    return {"value": field.value, **default, "meaning": field.meaning}


def _lines(fields: Sequence["Field"], width: int | None) -> list[str]:
    """A line per field: its path, its value, its default where that is another, and its meaning, which is cut at the
    terminal's `width` (None: whole)."""
    values = [_written(f.value) + (f" (default: {_written(f.default)})" if f.is_changed else "") for f in fields]
    names = max(len(field.path) for field in fields)
    column = min(max(map(len, values)), _WIDEST)
    lines = [f"{f.path:{names}}  {v:{column}}  {f.meaning}".rstrip() for f, v in zip(fields, values, strict=True)]
    return [line if width is None or len(line) <= width else f"{line[: width - 1].rstrip()}…" for line in lines]


def _written(value: Any) -> str:
    """As the command line takes it; "" and () where it is empty."""
    if isinstance(value, list):
        return ",".join(map(_written, value)) or "()"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value) or '""'
