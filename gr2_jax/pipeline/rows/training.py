"""What rows with a training have in common."""

import dataclasses

from gr2_jax.errors import UserError
from gr2_jax.hosts import of_first
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import Stage, fingerprint_of
from gr2_jax.training.checkpoints import checkpoint_steps


def list_fingerprint(run: Run, decides: list) -> str:
    """Of a row's lists: what decides them beside the way they are searched for, which is the experiment's."""
    return fingerprint_of([decides, dataclasses.replace(run.experiment.evaluation, measures=())])


def check_fingerprints(run: Run, training: Stage, current: dict[str, str]) -> None:
    """A model's tokens mean the words of its vocabulary and the documents of its docids, and no others. Raises
    `UserError` where the run's current fingerprints of these are not those that the training noted when it began."""
    noted = training.meta
    for name, fingerprint in current.items():
        if noted.get(name, fingerprint) != fingerprint:
            raise UserError(
                f"{training.directory} was trained with another {name} fingerprint, {noted[name]}, than that of "
                f"{run.paths.root} now, {fingerprint}: the run's own command makes them agree again"
            )


def newest_step(training: Stage) -> int:
    """Of the checkpoints, as the first process sees them: a training that goes on may leave another meanwhile."""
    newest = of_first(max(checkpoint_steps(training.directory), default=-1))
    if newest < 0:
        raise UserError(f"there is no whole checkpoint in {training.directory}: train first")
    return newest
