"""What a study found: a table with tests over the seeds, study.csv, and report/study.md."""

import csv
import dataclasses
import io
import statistics
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from gr2_jax.errors import UserError
from gr2_jax.evaluation.few_queries import rough_means
from gr2_jax.evaluation.significance import holm, paired_t_test
from gr2_jax.evaluation.table import Cell, Spread, format_table
from gr2_jax.experiment.study import Points, Study
from gr2_jax.files import write_text
from gr2_jax.pipeline.report import key_measure

Key = tuple[str, str]
"""A point and a row."""

_COLUMNS = ("point", "row", "seed", "measure", "value")


class Scores(NamedTuple):
    """What was measured of a point.

    values     row -> measure -> the value of each seed; not every row has every measure
    notes      row -> why it was left out, or what its zeros mean
    docids     docid scheme -> its quality, of the first seed and fold
    queries    how many were measured
    """

    values: dict[str, dict[str, list[float]]]
    notes: dict[str, str]
    docids: dict[str, dict[str, Any]]
    queries: int


@dataclasses.dataclass(frozen=True)
class Measured:
    """A study with what was measured of all its points."""

    study: Study
    points: Points
    seeds: tuple[int, ...]
    scores: dict[str, Scores]

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """Those that a row of every point has, in the order of the first."""
        rows = (scores.values.values() for scores in self.scores.values())
        tables = [dict.fromkeys(measure for own in of_point for measure in own) for of_point in rows]
        common = tuple(measure for measure in tables[0] if all(measure in table for table in tables))
        if not common:
            raise UserError(
                f"the points of the study {self.study.name} have no measure in common (one has "
                f"{', '.join(tables[0])}): give --evaluation.measures, or another --workdir"
            )
        return common

    @cached_property
    def key(self) -> str:
        """The measure that is drawn and tested."""
        wanted = self.study.measure
        return wanted if wanted in self.measures else key_measure(self.measures)

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """Every point and row that was measured, in the order of the points."""
        return tuple((point, row) for point, scores in self.scores.items() for row in scores.values)

    @cached_property
    def compared(self) -> tuple[Key, ...]:
        """Those of the keys that have the key measure."""
        return tuple(key for key in self.keys if self.key in self.scores[key[0]].values[key[1]])

    @cached_property
    def rows(self) -> tuple[str, ...]:
        """The rows that are drawn."""
        return tuple(dict.fromkeys(row for _, row in self.compared if not self.study.rows or row in self.study.rows))

    def values(self, key: Key, measure: str) -> list[float]:
        """One for each seed; none where the row does not have the measure."""
        return self.scores[key[0]].values[key[1]].get(measure, [])

    def spread(self, key: Key, measure: str) -> Spread | float | None:
        """The mean over the seeds and, of two or more, the standard deviation with n - 1; None where there is none."""
        values = self.values(key, measure)
        if not values:
            return None
        mean = statistics.mean(values)
        return Spread(mean, statistics.stdev(values)) if len(values) > 1 else mean

    def reference(self, key: Key) -> Key | None:
        """What a point and row are compared with; None for the reference itself and where it was not measured."""
        found = self.study.reference, self.points.against or key[1]
        return found if found != key and found in self.compared else None

    @cached_property
    def p(self) -> dict[Key, float]:
        """p of the paired t-test over the seeds in the key measure, Holm-corrected over all that is compared. Not
        compared: one seed alone, and what equals the reference in every seed, such as BM25 where its settings do not
        change."""
        raw = {}
        for key in self.compared:
            if (reference := self.reference(key)) is None or len(self.seeds) < 2:
                continue
            own, others = (self._by_seed(one) for one in (key, reference))
            if own != others:
                raw[key] = paired_t_test(own, others)
        return holm(raw)

    def _by_seed(self, key: Key) -> dict[str, float]:
        return dict(zip(map(str, self.seeds), self.values(key, self.key), strict=True))

    @property
    def about(self) -> list[str]:
        """The lines below the table."""
        seeds = ", ".join(map(str, self.seeds))
        if len(self.seeds) == 1:
            told = [f"measures are of the seed {seeds} alone: a standard deviation and a test need two"]
        else:
            row = self.points.against or "the same row"
            told = [
                f"measures are mean ± standard deviation over the seeds {seeds}",
                f"p: paired t-test over the seeds in {self.key}, against {row} at {self.study.reference}; "
                f"Holm-corrected over {len(self.p)} comparisons",
            ]
        if self.study.measure and self.key != self.study.measure:
            told.append(f"no row has {self.study.measure}, which the study is about")
        rough = rough_means(min(scores.queries for scores in self.scores.values()))
        notes = [f"{p}: {row}: {note}" for p, scores in self.scores.items() for row, note in scores.notes.items()]
        return [*told, *([] if rough is None else [rough]), *notes]


def write_results(measured: Measured, directory: Path) -> str:
    """Writes study.csv and report/study.md; returns the table and the lines below it."""
    write_text(directory / "study.csv", [_csv(measured)])
    table = "\n".join([_table(measured), "", *measured.about])
    write_text(directory / "report" / "study.md", [table, "\n"])
    return table


def _table(measured: Measured) -> str:
    cells: dict[str, dict[str, Cell]] = {}
    for key in measured.keys:
        cells[": ".join(key)] = {measure: measured.spread(key, measure) for measure in measured.measures}
        cells[": ".join(key)]["p"] = measured.p.get(key)
    return format_table(cells, [*measured.measures, "p"], heading="point: row")


def _csv(measured: Measured) -> str:
    """A line for each point, row, seed and measure; values are written so that they are read back as they were."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for key in measured.keys:
        for place, seed in enumerate(measured.seeds):
            for measure in measured.measures:
                if values := measured.values(key, measure):
                    writer.writerow([*key, seed, measure, repr(values[place])])
    return text.getvalue()
