"""What rows with a training have in common."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from gr2_jax.array_files import growing_array, map_array
from gr2_jax.data.batches import GradedBatches
from gr2_jax.errors import UserError
from gr2_jax.files import reading
from gr2_jax.models import T5Config
from gr2_jax.models.config import config_from
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import STAGE_FILE, Stage, fingerprint_of, reading_stage

VECTORS = "vectors.npy"


def list_fingerprint(run: Run, decides: list) -> str:
    """The fingerprint of a row's lists: of what decides them, and of how the experiment searches."""
    return fingerprint_of([decides, run.experiment.evaluation.decides | {"measures": ()}])


def trained_config(training: Stage) -> T5Config:
    """The T5 that a training noted when it began; `UserError` for a damaged note."""
    with reading(training.directory / STAGE_FILE):
        return config_from(training.meta["t5"], training.directory / STAGE_FILE)


def trained_seconds(training: Stage) -> float:
    """The seconds that a finished training took; `UserError` for one that is not finished."""
    with reading(training.directory / STAGE_FILE):
        return float(training.meta["seconds"])


def check_fingerprints(run: Run, training: Stage, current: dict[str, str]) -> None:
    """A model's tokens mean the words of its vocabulary and the documents of its docids, and no others. Raises
    `UserError` where the run's current fingerprints of these are not those that the training noted when it began."""
    noted = training.meta
    for name, fingerprint in current.items():
        if noted.get(name, fingerprint) != fingerprint:
            raise UserError(
                f"{training.directory} was trained with {name} {noted[name]}, but {run.paths.root} now has "
                f"{fingerprint}: run its config again"
            )


def graded_batches(run: Run, **changes: Any) -> GradedBatches:
    """The batches that every trained row of a run reads, with `changes` to fields of `GradedBatches`."""
    examples, retrieval = run.training_examples, run.experiment.retrieval
    return GradedBatches(
        queries=examples["queries"],
        pseudo=examples["pseudo"],
        documents=examples["documents"],
        shape=retrieval.batch,
        seed=run.experiment.seed,
        eos=retrieval.model.input_end,
        **changes,
    )


def write_document_vectors(directory: Path, parts: Iterable[Float[np.ndarray, "n F"]], width: int) -> None:
    """Writes the vectors of documents, float32, of which one part is in memory at a time."""
    with growing_array(directory / VECTORS, np.float32, (width,)) as vectors:
        for part in parts:
            vectors.append(part)


def join_document_vectors(directory: Path, folders: Iterable[Path], width: int) -> None:
    """Writes what `write_document_vectors` has written into some folders into one."""
    write_document_vectors(directory, (map_array(folder / VECTORS, ndim=2) for folder in folders), width)


def read_document_vectors(run: Run, row: str, directory: Path | None) -> Float[np.ndarray, "N F"]:
    """The vectors of a row's documents, mapped from the folder where they are; None: nowhere yet, a `UserError`."""
    if directory is None:
        raise UserError(
            f"{row} in {run.paths.root} has no vectors of its documents yet: run the same command again to finish it"
        )
    with reading_stage(directory, VECTORS) as path:
        vectors = map_array(path, ndim=2)
        if len(vectors) != len(run.doc_ids) or vectors.dtype != np.float32:
            raise UserError(f"{path} is damaged: it holds vectors {vectors.shape} of {vectors.dtype}")
        return vectors
