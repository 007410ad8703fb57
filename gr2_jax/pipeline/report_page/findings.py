"""What a run left that its report is about, read once for all parts of the page."""

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from gr2_jax.corpus import Qrels, read_run
from gr2_jax.corpus import Run as Lists
from gr2_jax.errors import UserError
from gr2_jax.evaluation.metrics import default_measures
from gr2_jax.files import read_json, reading
from gr2_jax.pipeline.open_run import read_record, recorded_run
from gr2_jax.pipeline.report import REFERENCE, key_measure
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import reading_stage
from gr2_jax.pipeline.workdir import Workdir


@dataclasses.dataclass(frozen=True)
class Findings:
    """A run, what its table says, and where its lists and its models are.

    run       the workdir that the page is about
    lists     whose runs/ hold the ranked lists: the first seed's run, where there are several
    detail    whose docids and models the page shows: the first seed's and fold's
    part      of the queries: "test" or "validation"
    """

    run: Run
    lists: Run
    detail: Run
    part: str

    @property
    def whose(self) -> str:
        """How the page says that it shows one of several: "" or such as " of the first seed"."""
        which = [name for name, several in (("seed", self._seeds), ("fold", self.detail is not self.lists)) if several]
        return f" of the first {' and '.join(which)}" if which else ""

    @property
    def whose_lists(self) -> str:
        """The same of what is over all folds."""
        return " of the first seed" if self._seeds else ""

    @property
    def _seeds(self) -> bool:
        return self.lists is not self.run

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """metrics/<part>.json: row -> key -> value, and the provenance; `UserError` where nothing is measured."""
        path = self._table
        if not path.is_file():
            raise UserError(f"the run has no measures of {self.part} queries")
        found = read_json(path)
        if not isinstance(found, dict) or not all(isinstance(row, dict) for row in found.values()):
            raise UserError(f"{path} is damaged: it is no table of measures")
        return found

    @property
    def provenance(self) -> Mapping[str, Any]:
        return self.summary.get("provenance", {})

    @property
    def notes(self) -> dict[str, str]:
        """Row -> why it was left out, or what its zeros mean."""
        return {row.name: str(note) for row in self.run.rows if (note := self.row(row.name).get("note")) is not None}

    def row(self, name: str) -> Mapping[str, Any]:
        """The values of a row; none where it was left out or nothing is measured."""
        return self.summary.get(name, {}) if self._table.is_file() else {}

    @property
    def _table(self) -> Path:
        return self.run.paths.metrics / f"{self.part}.json"

    @cached_property
    def scores(self) -> dict[str, dict[str, dict[str, float]]]:
        """Row -> measure -> query -> value, of the rows that were searched, in the table's order."""
        found = {}
        for row in self.run.rows:
            path = self.run.paths.metrics / self.part / f"{row.name}.json"
            if any(measure in self.row(row.name) for measure in self.measures):
                with reading(path):
                    values = read_json(path)
                    found[row.name] = {
                        measure: {query: float(value) for query, value in values[measure].items()}
                        for measure in self.measures
                    }
        if not found:
            raise UserError("no row of the run was measured yet")
        return found

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """In the table's order."""
        rows = self.summary.values()
        wanted = self.run.experiment.evaluation.measures or default_measures(self.qrels)
        return tuple(measure for measure in wanted if any(measure in row for row in rows))

    @property
    def key(self) -> str:
        """The measure that the tests compare."""
        return key_measure(self.measures)

    @cached_property
    def qrels(self) -> Qrels:
        return self.lists.qrels(self.part)

    @property
    def compared(self) -> tuple[str, str]:
        """The first row and BM25, or another row where one of them is not there; `UserError` for a single row."""
        names = list(self.scores)
        if len(names) < 2:
            raise UserError("the table has one row, and a comparison needs two")
        reference = REFERENCE if REFERENCE in names else names[1]
        return next(name for name in names if name != reference), reference

    def ranked(self, row: str) -> Lists:
        """The ranked lists of a row."""
        with reading_stage(self.lists.paths.runs / row, f"{self.part}.trec") as path:
            return read_run(path)


def findings_of(run: Run, part: str = "test") -> Findings:
    """Also of a run over several seeds or folds; `UserError` where its first seed or fold is no run."""
    record = read_record(run.paths)
    with reading(run.paths.config):
        lists = _opened(run.paths.seed(record["seeds"][0])) if record.get("seeds") else run
        detail = _opened(lists.paths.fold(0)) if run.experiment.corpus.folds else lists
    return Findings(run, lists, detail, part)


def recorded(paths: Workdir, part: str = "test") -> Findings:
    """Of the run that a workdir holds."""
    return findings_of(_opened(paths), part)


def _opened(paths: Workdir) -> Run:
    return recorded_run(paths, read_record(paths))
