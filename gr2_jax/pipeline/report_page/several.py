"""One page over several runs: their rows side by side, by the measures that all of them have."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gr2_jax.errors import UserError
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
from gr2_jax.evaluation.report_page.svg import can_draw
from gr2_jax.evaluation.table import cell_of, format_cell
from gr2_jax.experiment.fields import fields_of
from gr2_jax.files import write_text
from gr2_jax.pipeline.report_page.about import COLUMNS
from gr2_jax.pipeline.report_page.findings import Findings
from gr2_jax.pipeline.report_page.measures import METHOD, interval_of, measured, value_of
from gr2_jax.pipeline.report_page.page import without_figures

Runs = Mapping[str, Findings]
"""A short name of each run -> what it left."""


def write_page_of_several(found: Sequence[Findings], path: Path) -> None:
    """Writes the page; `UserError` where the runs have no measure in common, or one has none."""
    runs = dict(zip(_names([one.run.paths.root for one in found]), found, strict=True))
    for one in found:
        try:
            _ = one.scores
        except UserError as error:
            raise UserError(f"{one.run.paths.root} has no table to show: {error}") from error
    shared = [m for m in found[0].measures if all(m in one.measures for one in found)]
    if not shared:
        raise UserError(
            "the runs have no measure in common: "
            + "; ".join(f"{n} has {', '.join(o.measures)}" for n, o in runs.items())
        )
    parts = [("measures", "Measures", _measures(runs, shared)), ("costs", "Costs", _costs(runs))]
    parts.append(("settings", "Settings that differ", _settings(runs)))
    introduction = [sentence(", ".join(runs), "."), *([] if (missing := without_figures()) is None else [missing])]
    sections = [(key, title, section(key, title, body)) for key, title, body in parts]
    write_text(path, [page(f"{len(runs)} runs", introduction, sections)])


def _names(places: Sequence[Path]) -> list[str]:
    """As many of the last parts of the paths as tell them apart."""
    absolute = [Path(os.path.abspath(place)) for place in places]
    if twice := next((path for path in absolute if absolute.count(path) > 1), None):
        raise UserError(f"{twice} is given twice: name each run once")
    paths = [path.parts[1:] for path in absolute]
    for last in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-last:]) for parts in paths]
        if len(set(names)) == len(names):
            return names
    raise AssertionError("different paths differ in some part")


def _rows(runs: Runs) -> list[str]:
    """The rows of all runs, in the order of the first that has them."""
    return list(dict.fromkeys(row for one in runs.values() for row in one.scores))


def _measures(runs: Runs, shared: Sequence[str]) -> Html:
    left_out = dict.fromkeys(measure for one in runs.values() for measure in one.measures if measure not in shared)
    key = next(iter(runs.values())).key
    return together(
        _queries(runs),
        figures(_side_by_side(runs, measure) for measure in shared),
        figures(_drawn(runs, key if key in shared else shared[0])) if can_draw() else None,
        note(METHOD, " The best of each measure is bold."),
        note(f"Not in all runs, and left out: {', '.join(left_out)}.") if left_out else None,
    )


def _side_by_side(runs: Runs, measure: str) -> Html:
    """A measure of every row, one column for each run."""
    best = format_cell(max(value_of(one, row, measure) for one in runs.values() for row in one.scores), True)
    rows = [
        [row, *(measured(one, row, measure, best) if row in one.scores else None for one in runs.values())]
        for row in _rows(runs)
    ]
    return tag("div", tag("h3", measure), table(["row", *runs], rows))


def _drawn(runs: Runs, measure: str) -> Iterator[Html]:
    """The rows of each run, all on the same scale."""
    values = {
        name: {row: (value_of(one, row, measure), interval_of(one, row, measure)) for row in one.scores}
        for name, one in runs.items()
    }
    ends = [end for own in values.values() for value, interval in own.values() for end in (value, *(interval or ()))]
    room = 0.05 * (max(ends) - min(ends)) or 0.05
    limits = min(ends) - room, max(ends) + room
    for i, (name, own) in enumerate(values.items()):
        svg = intervals(f"intervals-{i}", measure, own, limits)
        yield figure(svg, f"{name}: {measure} of each row, with its 95% interval.")


def _queries(runs: Runs) -> Html:
    """Whether the runs answered the same queries, judged alike."""
    queries = {name: set(next(iter(one.scores.values()))[one.measures[0]]) for name, one in runs.items()}
    judged = [one.qrels for one in runs.values()]
    counts = ", ".join(f"{name}: n = {len(own):,}" for name, own in queries.items())
    if all(own == next(iter(queries.values())) for own in queries.values()):
        same = "The runs were measured on the same queries"
        same += "." if all(one == judged[0] for one in judged) else ", which are not judged alike: compare with care."
    else:
        common = len(set.intersection(*queries.values()))
        same = f"The runs were not measured on the same queries ({common:,} are in all): compare with care."
    return sentence(f"{same} {counts}.")


def _costs(runs: Runs) -> Html:
    rows = [
        [row, name, *(cell_of(one.row(row).get(column)) for column in COLUMNS)]
        for row in _rows(runs)
        for name, one in runs.items()
        if row in one.scores
    ]
    return table(["row", "run", *COLUMNS], rows, words=(0, 1))


def _settings(runs: Runs) -> Html:
    """Every field in which two runs differ; a run without the field, such as that of a row it lacks, has a dash."""
    fields = {
        name: {field.path: str(field.value) for field in fields_of(one.run.experiment)} for name, one in runs.items()
    }
    paths = dict.fromkeys(path for own in fields.values() for path in own if path != "workdir")
    different = [path for path in paths if len({own.get(path) for own in fields.values()}) > 1]
    if not different:
        return sentence("All settings are the same.")
    rows = [
        [tag("code", path), *(foreign(own[path]) if path in own else None for own in fields.values())]
        for path in different
    ]
    return table(["setting", *runs], rows, words=range(len(runs) + 1))
