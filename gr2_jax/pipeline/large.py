"""Which collections are large: prepared by worker processes, and learnt from by way of a sample."""

from collections.abc import Sequence

import numpy as np

from gr2_jax.pipeline.run import Run

LARGE = 100_000  # documents or queries; beyond it LSA vectors are learnt from a sample of this size


def is_large(run: Run) -> bool:
    """Whether the vocabulary and the LSA vectors are learnt from a sample, and worker processes do what takes long."""
    return max(len(run.doc_ids), len(run.split.train)) > LARGE


def spread(rows: Sequence) -> np.ndarray:
    """An evenly spaced sample of the rows, `LARGE` at most."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), LARGE)).astype(np.int64))]
