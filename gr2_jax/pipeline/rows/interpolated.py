"""A row that ranks by two other rows together, such as a generative one and BM25."""

import dataclasses
from functools import partial
from pathlib import Path

from gr2_jax.errors import SettingError, UserError
from gr2_jax.experiment import Row
from gr2_jax.files import write_json
from gr2_jax.hosts import on_all
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import Stage, current_fingerprint, fingerprint_of
from gr2_jax.pipeline.validation import best_on_validation, check_chooses, read_weight
from gr2_jax.search.interpolated import Interpolated
from gr2_jax.search.searcher import Searcher


@dataclasses.dataclass(frozen=True)
class InterpolatedRow(Row):
    """The weighted mean of two rows' scores (`gr2_jax.search.interpolated`).

    rows      two rows above this one
    shares    the first row's share of the score is the one of these that ranks the validation queries best
    """

    rows: tuple[str, str]
    shares: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

    def __post_init__(self):
        super().__post_init__()
        if len(self.rows) != 2:
            raise SettingError(self, "rows", f"names {len(self.rows)} rows: it must name two")
        if not self.shares or any(not 0 <= share <= 1 for share in self.shares):
            raise SettingError(self, "shares", f"is {self.shares}: give shares between 0 and 1")

    def check(self, run: Run) -> None:
        above = [row.name for row in run.rows[: run.rows.index(self)]]
        if missing := next((name for name in self.rows if name not in above), None):
            raise UserError(f"row {self.name} reads '{missing}', which is no row above it")
        check_chooses(run, self.name, "share", self.shares)

    def train(self, run: Run) -> None:
        """Chooses the share, into weights/<name>/."""
        stage = self._stage(run)
        if stage.done or (len(self.shares) > 1 and not run.split.validation):
            return
        try:
            searchers = on_all(lambda: self._searchers(run))  # every process opens the rows; the first alone builds
        except UserError:
            return  # `open` says so, and the table; the run goes on
        stage.build(partial(self._choose, run, searchers))

    def _choose(self, run: Run, searchers: list[Searcher], out: Path) -> None:
        write_json(out / "weight.json", best_on_validation(run, self.shares, lambda x: Interpolated(*searchers, x)))

    def _stage(self, run: Run) -> Stage:
        read = [run.row(name).fingerprint(run) for name in self.rows]
        decides = [read, self, current_fingerprint(run.paths.corpus), run.experiment.evaluation.decides]
        return Stage(run.paths.weight(self.name), fingerprint_of(decides))

    def fingerprint(self, run: Run) -> str:
        return self._stage(run).fingerprint

    def open(self, run: Run, step: int | None = None) -> Interpolated:
        if step is not None:
            raise UserError(f"{self.name} reads two rows, each with its own steps: leave --step out")
        searchers = self._searchers(run)
        if not self._stage(run).done:
            raise UserError(
                f"{self.name} in {run.paths.root} has chosen no share for its rows as they are now: run the config "
                "again"
            )
        return Interpolated(*searchers, read_weight(run.paths.weight(self.name)))

    def _searchers(self, run: Run) -> list[Searcher]:
        return [run.row(name).open(run) for name in self.rows]

    def models(self, run: Run, step: int | None = None) -> dict[str, dict[str, str | int]]:
        return {name: model for row in self.rows for name, model in run.row(row).models(run).items()}

    def train_seconds(self, run: Run) -> float | None:
        seconds = [run.row(name).train_seconds(run) for name in self.rows]
        trained = [each for each in seconds if each is not None]
        return sum(trained) if trained else None
