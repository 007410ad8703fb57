from pathlib import Path

import pytest

from gr2_jax.data.vocabulary import train_vocabulary

TEXTS = [
    "The Quick brown fox jumps over the lazy dog",
    "Returns the indices that would SORT an array",
    "Sort an array of numbers, in place",
    "naïve café: Straße, 12 numbers; λ = 3.5e-2",
]


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("vocabulary") / "spiece.model"
    train_vocabulary(TEXTS, path, size=60)
    return path
