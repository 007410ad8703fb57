"""Vectors in a plane, for pictures."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Plane(NamedTuple):
    """points [n, 2]; shares [2], how much of the vectors' variance lies in each direction."""

    points: Float[np.ndarray, "n 2"]
    shares: Float[np.ndarray, " 2"]


def principal_plane(vectors: Float[np.ndarray, "n F"]) -> Plane:
    """The vectors in the two directions in which they vary most (PCA). Each direction points to where its largest
    weight is positive, so that the same vectors give the same picture."""
    centred = np.asarray(vectors, np.float64) - np.mean(vectors, axis=0, dtype=np.float64)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    points, variance = np.zeros((len(centred), 2)), np.zeros(2)
    for i, direction in enumerate(directions[:2]):
        points[:, i] = centred @ direction * np.sign(direction[np.argmax(np.abs(direction))])
        variance[i] = sizes[i] ** 2
    total = float(np.sum(sizes**2))
    return Plane(points, variance / total if total > 0 else variance)
