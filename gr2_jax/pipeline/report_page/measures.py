"""The table: measures with their intervals, and p against BM25; and which grades the lists hold."""

import math
import statistics
from collections.abc import Collection, Mapping

from gr2_jax.errors import UserError
from gr2_jax.evaluation.few_queries import rough_means
from gr2_jax.evaluation.metrics import recall_by_grade
from gr2_jax.evaluation.report_page.figures import Interval, intervals
from gr2_jax.evaluation.report_page.markup import Html, figure, note, sentence, table, tag, together
from gr2_jax.evaluation.report_page.svg import can_draw
from gr2_jax.evaluation.significance import mean_interval
from gr2_jax.evaluation.table import format_cell
from gr2_jax.pipeline.report import REFERENCE
from gr2_jax.pipeline.report_page.findings import Findings

KEY, TITLE = "measures", "Measures"
DEPTH = 20  # documents of a list that are looked through for each grade
MOST_GRADES = 10  # columns of a table
METHOD = "In brackets: 95% t intervals of the mean over the queries: where it may lie with other such queries."


def body(found: Findings) -> Html:
    queries = max(len(by_query) for scores in found.scores.values() for by_query in scores.values())
    p_names = {f"p {found.key}": "p", "p randomisation": "p, randomisation"}
    tested = {name: heading for name, heading in p_names.items() if any(name in found.row(row) for row in found.scores)}
    best = {measure: max(_shown(found, row, measure) for row in found.scores) for measure in found.measures}
    rows = [
        [
            row,
            f"{len(found.scores[row][found.key]):,}",
            *(measured(found, row, measure, best[measure]) for measure in found.measures),
            *(_p(found.row(row).get(name)) for name in tested),
        ]
        for row in found.scores
    ]
    below = [METHOD, f"The best of each measure is bold. n: {found.part} queries with a relevant judgement."]
    if tested:
        below.append(
            f"p: paired t-test against {REFERENCE} in {found.key}; p, randomisation: paired randomisation test; both "
            "Holm-corrected over the rows."
        )
    if "seeds" in found.provenance:
        seeds = ", ".join(map(str, found.provenance["seeds"]))
        below.append(f"Measures are means over the seeds {seeds}, with ± the standard deviation over them.")
    rough = rough_means(queries)
    return together(
        table(["row", "n", *found.measures, *tested.values()], rows),
        _figure(found),
        *map(note, below),
        None if rough is None else sentence(f"{rough[0].upper()}{rough[1:]}."),
        *(sentence(tag("strong", row), f": {why}") for row, why in found.notes.items()),
        *_by_grade(found),
    )


def _by_grade(found: Findings) -> list[Html]:
    """Whether a row finds the documents of low grades, too, of which nDCG says little. Nothing with one grade, or with
    more than a table can show."""
    if not 2 <= len({grade for own in found.qrels.values() for grade in own.values() if grade > 0}) <= MOST_GRADES:
        return []
    try:
        rows = {row: recall_by_grade(found.ranked(row), found.qrels, DEPTH) for row in found.scores}
    except UserError as error:  # the table above does not need the lists
        return [sentence(f"Which grades the lists hold is left out: {error}.")]
    queries = {grade: len(of_grade) for grade, of_grade in next(iter(rows.values())).items()}
    return [
        tag("h3", f"Which grades do the first {DEPTH} documents hold?"),
        table(
            ["row", *(f"grade {grade} (n {n:,})" for grade, n in queries.items())],
            [[row, *(mean_with_interval(own.values()) for own in by_grade.values())] for row, by_grade in rows.items()],
        ),
        note(
            f"The share of a query's documents of a grade that are among the first {DEPTH} of its list"
            f"{found.whose_lists}, the mean over the n {found.part} queries that have such documents, with its 95% t "
            "interval."
        ),
    ]


def mean_with_interval(values: Collection[float]) -> Html | None:
    """The cell of a mean over queries, with its interval; None without queries."""
    if not values:
        return None
    return together(format_cell(statistics.mean(values), True), _between(mean_interval(values)))


def measured(found: Findings, row: str, measure: str, best: str | None = None) -> Html:
    """The cell of a measure: its value, bold where it prints as `best`, and its interval."""
    shown, interval = _shown(found, row, measure), interval_of(found, row, measure)
    sd = found.row(row).get("sd", {}).get(measure)
    spread = "" if sd is None else f" ± {format_cell(float(sd), True)}"
    return together(tag("strong", shown) if shown == best else shown, spread, _between(interval))


def _between(interval: Interval | None) -> Html | None:
    return None if interval is None else tag("small", f"[{', '.join(format_cell(end, True) for end in interval)}]")


def interval_of(found: Findings, row: str, measure: str) -> Interval | None:
    """The interval of a measure that is the mean over the queries; None for others, such as a geometric mean."""
    values = found.scores[row][measure].values()
    if not values or not math.isclose(sum(values) / len(values), value_of(found, row, measure), abs_tol=1e-6):
        return None
    return mean_interval(values)


def value_of(found: Findings, row: str, measure: str) -> float:
    return float(found.row(row)[measure])


def _shown(found: Findings, row: str, measure: str) -> str:
    return format_cell(value_of(found, row, measure), True)


def _p(value: float | None) -> str | None:
    if value is None:
        return None
    return "< .0001" if value < 1e-4 else format_cell(float(value), True)


def _figure(found: Findings) -> Html | None:
    if not can_draw():
        return None
    values: Mapping[str, tuple[float, Interval | None]] = {
        row: (value_of(found, row, found.key), interval_of(found, row, found.key)) for row in found.scores
    }
    return figure(intervals("intervals", found.key, values), f"{found.key} of each row, with its 95% interval.")
