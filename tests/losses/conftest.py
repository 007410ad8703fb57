import numpy as np
import pytest

B, N, D, L = 3, 7, 4, 3


class GradedBatch:
    """A random batch: queries with different numbers of positives, empty grades, masked docids."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        # Rounded to float32, so that the float64 loop and the float32 code see the same numbers.
        self.queries = rng.normal(size=(B, D)).astype(np.float32)
        self.docids = rng.normal(size=(N, D)).astype(np.float32)
        self.grades = rng.integers(0, L + 1, size=(B, N)).astype(np.int32)
        self.grades[seed % B] *= seed % 2  # on even seeds one query has no positive
        self.mask = rng.random(N) < 0.8


@pytest.fixture(scope="session")
def graded_batch():
    return GradedBatch
