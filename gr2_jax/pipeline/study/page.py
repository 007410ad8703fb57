"""report/index.html of a study: its figures, its table, and where its points are."""

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gr2_jax.buckets import push
from gr2_jax.evaluation.report_page.figures import intervals
from gr2_jax.evaluation.report_page.markup import (
    Html,
    figure,
    figures,
    foreign,
    note,
    page,
    section,
    sentence,
    table,
    tag,
    together,
)
from gr2_jax.evaluation.report_page.study_figures import Dot, along, heat_map
from gr2_jax.evaluation.report_page.svg import can_draw
from gr2_jax.evaluation.somers_d import SOMERS_D
from gr2_jax.evaluation.table import Spread, format_cell
from gr2_jax.experiment import Scheme
from gr2_jax.experiment.fields import fields_of
from gr2_jax.experiment.study import Axis, Pair, Place, Point, Rows
from gr2_jax.files import write_text
from gr2_jax.pipeline.report_page.docid_part import compared
from gr2_jax.pipeline.report_page.findings import recorded
from gr2_jax.pipeline.report_page.page import without_figures
from gr2_jax.pipeline.report_page.space import pictures
from gr2_jax.pipeline.study.plan import Planned
from gr2_jax.pipeline.study.results import Key, Measured
from gr2_jax.pipeline.workdir import Workdir

_MOST_DIFFERENCES = 4  # settings of a point that are shown


def write_study_page(measured: Measured, plan: dict[str, Planned], directory: Path) -> Path:
    """Writes the page; returns its path. The same measures give the same bytes."""
    study = measured.study
    parts = [(axis.name, axis.name, _axis(measured, axis)) for axis in _drawn_axes(measured)]
    parts.append(("measures", "Measures", _measures(measured)))
    if measured.key == SOMERS_D:
        parts.append(("vectors", "Vectors", _vectors(measured, directory)))
    if docids := _docids(measured):
        parts.append(("docids", "Docids", docids))
    parts.append(("points", "Points", _points(measured, plan)))
    sections = [(f"part-{key}", title, section(f"part-{key}", title, body)) for key, title, body in parts]
    path = directory / "report" / "index.html"
    write_text(path, [page(f"Study: {study.name}", _introduction(measured), sections)])
    push(path.parent)
    return path


def _introduction(measured: Measured) -> list[Html]:
    first = measured.points.points[0].experiment
    seeds, queries = ", ".join(map(str, measured.seeds)), next(iter(measured.scores.values())).queries
    told = f"{len(measured.points.points)} points over {first.name}, a run of "
    counted = f", each with the seeds {seeds}" if len(measured.seeds) > 1 else f", with the seed {seeds}"
    told_queries = f"{counted}, measured on {queries:,} queries."
    introduction = [sentence(told, foreign(first.corpus.described), told_queries)]
    missing = without_figures()
    return introduction if missing is None else [*introduction, missing]


def _drawn_axes(measured: Measured) -> list[Axis]:
    return [axis for axis in measured.study.axes if axis.name in measured.points.places]


# an axis


def _axis(measured: Measured, axis: Axis) -> Html:
    places = measured.points.places[axis.name]
    if isinstance(axis, Rows):
        keys = {row: (measured.study.reference, row) for row in measured.rows}
        return _named(measured, axis, {name: key for name, key in keys.items() if key in measured.compared})
    if isinstance(axis, Pair):
        return _pair(measured, axis, places)
    if all(place.number is not None for place in places):
        return _numbers(measured, axis, places)
    points = dict.fromkeys([measured.study.reference, *(place.point for place in places)])
    others = [point for point in points if point != measured.study.reference]
    rows = [row for row in measured.rows if any((point, row) in measured.compared for point in others)]
    keys = [(point, row) for point in points for row in rows if (point, row) in measured.compared]
    return _named(measured, axis, {": ".join(key): key for key in keys})


def _numbers(measured: Measured, axis: Axis, places: tuple[Place, ...]) -> Html:
    """A line for each row."""
    rows = {row: list(_dots(measured, row, places)) for row in measured.rows}
    rows = {row: dots for row, dots in rows.items() if dots}
    own = next((place for place in places if place.point == measured.study.reference), None)
    told = f"{measured.key} along {axis.name}, {_over(measured, _BARS)}."
    told += f" The reference is at {own.names[0]}." if own is not None else ""
    picture = [figure(along(f"along-{axis.name}", axis.name, measured.key, rows), told)] if can_draw() else []
    cells = [[place.names[0], *(_cell(measured, (place.point, row)) for row in rows)] for place in places]
    return together(figures([*picture, table([axis.name, *rows], cells)]))


def _dots(measured: Measured, row: str, places: tuple[Place, ...]) -> Iterator[Dot]:
    for place in places:
        if (place.point, row) in measured.compared and place.number is not None:
            spread = measured.spread((place.point, row), measured.key)
            yield Dot(place.number, *(spread if isinstance(spread, Spread) else (spread, None)))


def _named(measured: Measured, axis: Axis, keys: dict[str, Key]) -> Html:
    """A dot and a bar for each name; the table has the difference from the reference."""
    values = {}
    for name, key in keys.items():
        spread = measured.spread(key, measured.key)
        mean, sd = spread if isinstance(spread, Spread) else (spread, None)
        values[name] = mean, None if sd is None else (mean - sd, mean + sd)
    told = f"{measured.key}, {_over(measured, _BARS)}."
    picture = [figure(intervals(f"named-{axis.name}", measured.key, values), told)] if values and can_draw() else []
    compared_with = {"difference": _difference, "p": _p}
    found = {word: [of(measured, key) for key in keys.values()] for word, of in compared_with.items()}
    columns = {measured.key: [_cell(measured, key) for key in keys.values()]}
    columns |= {word: cells for word, cells in found.items() if any(cell is not None for cell in cells)}
    return together(figures([*picture, table(["", *columns], zip(keys, *columns.values(), strict=True))]))


def _pair(measured: Measured, axis: Pair, places: tuple[Place, ...]) -> Html:
    """A map for each row that the pair changes, and a table of all."""
    both, pictures = (axis.first.name, axis.second.name), []
    for row in measured.rows:
        keys = {place.names: (place.point, row) for place in places if (place.point, row) in measured.compared}
        cells = {values: statistics.mean(measured.values(key, measured.key)) for values, key in keys.items()}
        if len(set(cells.values())) > 1 and can_draw():
            svg = heat_map(f"map-{axis.name}-{row}", both, measured.key, cells)
            pictures.append(figure(svg, f"{row}: {measured.key}, {_over(measured)}; the best is bold."))
    rows = [[*place.names, *(_cell(measured, (place.point, row)) for row in measured.rows)] for place in places]
    return together(figures([*pictures, table([*both, *measured.rows], rows, words=(0, 1))]))


def _over(measured: Measured, bars: str = "") -> str:
    """What a drawn value is of."""
    return f"mean over the seeds{bars}" if len(measured.seeds) > 1 else f"of the seed {measured.seeds[0]}"


_BARS = "; bars are one standard deviation over the seeds either way"


# tables


def _cell(measured: Measured, key: Key, measure: str | None = None) -> str | None:
    spread = measured.spread(key, measure or measured.key) if key in measured.keys else None
    return None if spread is None else format_cell(spread, True)


def _difference(measured: Measured, key: Key) -> str | None:
    """The mean's difference from the reference's."""
    if (reference := measured.reference(key)) is None:
        return None
    own, other = (measured.values(one, measured.key) for one in (key, reference))
    value = statistics.mean(own) - statistics.mean(other)
    return ("+" if value > 0 else "-" if value < 0 else "") + format_cell(abs(value), True)


def _p(measured: Measured, key: Key) -> str | None:
    value = measured.p.get(key)
    if value is None:
        return None
    return "< .0001" if value < 1e-4 else format_cell(value, True)


def _measures(measured: Measured) -> Html:
    rows = [
        [*key, *(_cell(measured, key, measure) for measure in measured.measures), _p(measured, key)]
        for key in measured.keys
    ]
    below = [f"{line}." if line.startswith("p: ") else f"{line[:1].upper()}{line[1:]}." for line in measured.about]
    return together(table(["point", "row", *measured.measures, "p"], rows, words=(0, 1)), *map(note, below))


def _vectors(measured: Measured, directory: Path) -> Html:
    """One query and its lists, of the reference's first seed."""
    point = next(point for point in measured.points.points if point.name == measured.study.reference)
    found = recorded(Workdir(directory / "points" / point.folder))
    return together(
        *pictures(found), note(f"Of {point.name}, of the first seed, and of the first fold where there are any.")
    )


def _docids(measured: Measured) -> Html | None:
    """How good the docids are, where a study has several kinds of them."""
    kinds: dict[str, Mapping[str, Any]] = {}
    seen: list[Scheme] = []
    for point in measured.points.points:
        for scheme in point.experiment.docids.schemes:
            if scheme not in seen:
                name = scheme.name if scheme.name not in kinds else f"{scheme.name}, {point.name}"
                kinds[name] = measured.scores[point.name].docids[scheme.name]
                seen.append(scheme)
    if len(kinds) < 2:
        return None
    return together(compared(kinds), note("Of the first seed, and of the first fold where there are any."))


def _points(measured: Measured, plan: dict[str, Planned]) -> Html:
    """Where each point is, what tells it from the first, and what it trains."""
    first = measured.points.points[0]
    rows = [
        [
            tag("a", point.name, href=f"../points/{point.folder}/report/index.html"),
            _differing(first, point),
            ", ".join(training.of for training in plan[point.name].own) or "nothing",
        ]
        for point in measured.points.points
    ]
    left_out = measured.points.left_out
    return together(
        table(["point", "setting", "trains"], rows, words=(0, 1, 2)),
        note("Models that a point has in common with one before it are trained once."),
        note(f"Not for this experiment, and left out: {', '.join(left_out)}.") if left_out else None,
    )


def _differing(first: Point, point: Point) -> Html | None:
    """The settings in which a point differs from the first."""
    before, after = ({field.path: field.value for field in fields_of(one.experiment)} for one in (first, point))
    paths = [path for path in after if path in before and after[path] != before[path]]
    paths += [path for path in after if path not in before and path.count(".") == 1]
    removed = [path for path in before if path not in after and path.count(".") == 1]
    told = [f"{path} {after[path] if after[path] != [] else '()'}" for path in paths] + [
        f"without {path}" for path in removed
    ]
    if not told:
        return None
    more = f", and {len(told) - _MOST_DIFFERENCES} more" if len(told) > _MOST_DIFFERENCES else ""
    return foreign("; ".join(told[:_MOST_DIFFERENCES]) + more)
