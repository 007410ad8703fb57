"""A table of results for the terminal that is also valid Markdown."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """The mean of several runs' values, and their standard deviation."""

    mean: float
    sd: float


Cell = float | Spread | str | int | None

_MEASURE = re.compile(r"[A-Za-z]\w*(\(.*\))?@\d+")


def format_table(rows: Mapping[str, Mapping[str, Cell]], columns: Sequence[str], *, heading: str = "run") -> str:
    """Returns aligned lines, one row per run, without a final newline.

    A column named as a measure at a cutoff (`nDCG@20`) is written as .4103, and its best value, if two or more rows
    have one, is marked `*`; values that print alike are all marked. Other floats have four significant digits. A
    `Spread` is written as .4103 ± .0021 and marked by its mean. A missing value, None or NaN prints as `-`.

    Args:
        rows: Row name -> column -> value.
        columns: The columns to print, in this order.
        heading: The header of the first column.
    """
    names = [heading, *rows]
    printed = [[name, *_column(name, [row.get(name) for row in rows.values()])] for name in columns]
    widths = [max(map(len, cells)) for cells in printed]
    first = max(map(len, names))
    lines = []
    for i, name in enumerate(names):
        cells = [cells[i].rjust(width) for cells, width in zip(printed, widths, strict=True)]
        lines.append(_line([name.ljust(first), *cells]))
    rule = _line(["-" * first, *("-" * (width - 1) + ":" for width in widths)])
    return "\n".join([lines[0], rule, *lines[1:]])


def _column(name: str, values: Sequence[Cell]) -> list[str]:
    measure = _MEASURE.fullmatch(name) is not None
    cells = [format_cell(value, measure) for value in values]
    means = [value.mean if isinstance(value, Spread) else value for value in values]
    numbers = [value for value in means if isinstance(value, float) and not math.isnan(value)]
    if not measure or len(numbers) < 2:
        return cells
    best = format_cell(max(numbers), measure)
    # Unmarked cells end in a space, so that the digits stay in line.
    marks = ["*" if format_cell(value, measure) == best else " " for value in means]
    return [cell + mark for cell, mark in zip(cells, marks, strict=True)]


def cell_of(value: object) -> str | None:
    """A number as a cell, None for anything else."""
    return format_cell(float(value), False) if isinstance(value, int | float) else None


def format_cell(value: Cell, measure: bool) -> str:
    """As `format_table` writes it: a measure as .4103, other floats with four significant digits."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, Spread):
        return f"{format_cell(value.mean, measure)} ± {format_cell(value.sd, measure)}"
    if isinstance(value, float):
        return f"{value:.4f}".removeprefix("0") if measure else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else value


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
