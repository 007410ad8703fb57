"""How each row learnt: its loss and the parts of it, and the validation measures where there are any."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gr2_jax.errors import UserError
from gr2_jax.evaluation.report_page.figures import Curve, curves
from gr2_jax.evaluation.report_page.markup import Html, figure, figures, note, sentence, table, together
from gr2_jax.evaluation.report_page.svg import can_draw
from gr2_jax.evaluation.table import cell_of
from gr2_jax.pipeline.report_page.findings import Findings
from gr2_jax.pipeline.validation import CURVE
from gr2_jax.training.metrics_log import FILE, read_lines

KEY, TITLE = "training", "Training"
_PARTS = "loss/"


def body(found: Findings) -> Html:
    logs = dict(_logs(found))
    if not logs:
        raise UserError("no row of the run was trained")
    validated = {row: read_lines(directory / CURVE) for row, (directory, _) in logs.items()}
    permuted = any(name.endswith("_permuted") for _, lines in logs.values() for name in lines[-1])
    return together(
        sentence(f"The loss of each trained row{found.whose} and its parts, as they were logged.")
        if found.whose
        else None,
        table(["row", "step", "loss", *_part_names(logs.values())], [_last(row, logs) for row in logs]),
        _figures(logs, validated),
        note(
            "Last logged values. A part with _permuted is no part of the loss: it is the graded loss with the docids "
            "exchanged among the queries, which should stay high."
        )
        if permuted
        else None,
        None if any(validated.values()) else note("No validation measures were logged while the rows trained."),
    )


def _logs(found: Findings) -> Iterator[tuple[str, tuple[Path, list[dict[str, Any]]]]]:
    """Row -> the folder of its training and the lines of its metrics.jsonl, where there are any."""
    for row in found.detail.rows:
        if row.name in found.detail.trainings:
            directory = found.detail.training(row.name).directory
            if lines := read_lines(directory / FILE):
                yield row.name, (directory, lines)


def _part_names(logs: Iterable[tuple[Path, list[dict[str, Any]]]]) -> list[str]:
    names = (name for _, lines in logs for name in lines[-1] if name.startswith(_PARTS))
    return [name.removeprefix(_PARTS) for name in dict.fromkeys(names)]


def _last(row: str, logs: Mapping[str, tuple[Path, list[dict[str, Any]]]]) -> list[str | None]:
    line = logs[row][1][-1]
    values = [line.get("loss"), *(line.get(f"{_PARTS}{name}") for name in _part_names(logs.values()))]
    return [row, f"{float(line['step']):,.0f}", *(cell_of(value) for value in values)]


def _figures(logs: Mapping[str, tuple[Path, list[dict]]], validated: Mapping[str, list[dict]]) -> Html | None:
    if not can_draw():
        return None
    return figures(picture for row in logs for picture in _of_row(row, logs[row][1], validated[row]))


def _of_row(row: str, lines: Sequence[Mapping[str, Any]], validation: Sequence[Mapping[str, Any]]) -> Iterator[Html]:
    names = ["loss", *dict.fromkeys(name for line in lines for name in line if name.startswith(_PARTS))]
    losses = {name.removeprefix(_PARTS): _curve(lines, name) for name in names}
    if losses := {name: curve for name, curve in losses.items() if curve[0]}:
        yield figure(curves(f"loss-{row}", "loss", losses), f"{row}: the loss and its parts.")
    names = dict.fromkeys(name for line in validation for name in line if name != "step")
    measures = {name: _curve(validation, name) for name in names}
    if measures := {name: curve for name, curve in measures.items() if curve[0]}:
        caption = f"{row}: measures on the validation queries."
        yield figure(curves(f"validation-{row}", "measure", measures, points=True), caption)


def _curve(lines: Sequence[Mapping[str, Any]], name: str) -> Curve:
    """The finite values of a name, with their steps."""
    points = [(float(line["step"]), line[name]) for line in lines if isinstance(line.get(name), int | float)]
    points = [(step, value) for step, value in points if math.isfinite(value)]
    return [step for step, _ in points], [value for _, value in points]
