"""The LSA vectors of a large collection's documents, made by worker processes of what is in files; they open no run."""

from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from gr2_jax.array_files import growing_array, load_arrays
from gr2_jax.data.lsa import TokenSemantics
from gr2_jax.data.token_files import map_token_rows
from gr2_jax.pipeline.texts import TASKS_ON_DISK
from gr2_jax.pipeline.workers import in_workers
from gr2_jax.progress import progress

SEMANTICS = "semantics.npz"
BLOCK = 8192  # documents that a worker reads at a time


def write_semantics(directory: Path, semantics: TokenSemantics) -> None:
    """All but the vectors of the documents that it was learnt from."""
    np.savez(directory / SEMANTICS, token_vectors=semantics.token_vectors, log_idf=semantics.log_idf)


def write_vectors(directory: Path, documents: int, path: Path) -> None:
    """Writes, as a .npy file, the vectors of so many documents, by their tokens and the semantics in a folder. The sums
    of a vector are in one order whatever the block is: any number of workers writes the same bytes."""
    blocks = [range(start, min(start + BLOCK, documents)) for start in range(0, documents, BLOCK)]
    row = _semantics(directory).token_vectors.shape[1:]
    with growing_array(path, np.float32, row) as vectors, progress(documents, "LSA vectors of documents") as bar:
        for made in in_workers(partial(_vectors, directory), blocks):
            vectors.append(made)
            bar.advance(len(made))


def _vectors(directory: Path, rows: range) -> Float[np.ndarray, "n F"]:
    texts = map_token_rows(directory, "documents", width=TASKS_ON_DISK["documents"])[rows.start : rows.stop]
    return _semantics(directory).vectors_of([row[row != 0] for row in texts])


def _semantics(directory: Path) -> TokenSemantics:
    """Read for each block: it takes a fiftieth of the time, and the folder's next one may be another."""
    file = load_arrays(directory / SEMANTICS, {"token_vectors": 2, "log_idf": 1})
    return TokenSemantics(file["token_vectors"], np.empty((0, *file["token_vectors"].shape[1:])), file["log_idf"])
