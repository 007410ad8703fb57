"""A row that reads several systems together, each on its own docids."""

import dataclasses

from gr2_jax.errors import UserError, nearest
from gr2_jax.experiment import Row
from gr2_jax.pipeline.rows.system import System
from gr2_jax.pipeline.rows.training import list_fingerprint
from gr2_jax.pipeline.run import Run
from gr2_jax.search.views import Views


@dataclasses.dataclass(frozen=True)
class ViewsRow(Row):
    """The mean of the likelihoods that several rows give (`gr2_jax.search.views`).

    systems    two or more rows of the table
    """

    systems: tuple[str, ...]

    def check(self, run: Run) -> None:
        names = [row.name for row in run.rows if isinstance(row, System)]
        unknown = [name for name in self.systems if name not in names]
        if unknown or len(set(self.systems)) < max(2, len(self.systems)):
            hint = nearest(unknown[0], names) if unknown else f"not {', '.join(self.systems) or 'none'}"
            raise UserError(f"row {self.name} must read two or more different systems: {hint}")

    def fingerprint(self, run: Run) -> str:
        return list_fingerprint(run, [[name, run.training(name).fingerprint] for name in self.systems])

    def open(self, run: Run, step: int | None = None) -> Views:
        if step is not None:
            raise UserError(f"{self.name} reads several models, each with its own steps: leave --step out")
        rows = (run.row(name).open(run) for name in self.systems)
        return Views(tuple(row.with_options(ranking="likelihood") for row in rows))  # a mean of joint scores is nothing

    def models(self, run: Run, step: int | None = None) -> dict[str, dict[str, str | int]]:
        return {name: model for system in self.systems for name, model in run.row(system).models(run).items()}

    def depth(self, run: Run) -> int:
        return run.experiment.evaluation.beams

    def train_seconds(self, run: Run) -> float:
        return sum(run.row(name).train_seconds(run) for name in self.systems)
