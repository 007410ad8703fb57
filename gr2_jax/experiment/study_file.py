"""Studies from files."""

from pathlib import Path

from gr2_jax.buckets import local_copy
from gr2_jax.errors import UserError
from gr2_jax.experiment.experiment import Settings
from gr2_jax.experiment.loading import run_file
from gr2_jax.experiment.study import Study


def load_study(path: str | Path) -> Study:
    """Runs a Python file, which is trusted like any program, and returns its `study`; `UserError` for a file that is
    missing, does not load or defines none."""
    module = run_file(local_copy(path))
    study = getattr(module, "study", None)
    if isinstance(study, Study):
        return study
    if isinstance(getattr(module, "experiment", None), Settings):
        raise UserError(
            f"{path} is a config, not a study: give it as --base, after a study such as those in configs/studies/"
        )
    raise UserError(f"{path} defines no `study = Study(...)`")
