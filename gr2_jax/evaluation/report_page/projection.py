"""Vectors in a plane, for pictures: by their variance (PCA), or by who is near to whom (t-SNE)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_NEIGHBOURS = 30  # of each point: t-SNE's customary perplexity


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


def neighbour_plane(vectors: Float[np.ndarray, "n F"], *, cosine: bool) -> Float[np.ndarray, "n 2"]:
    """t-SNE, which keeps neighbours together, by the cosine or else by the distance. It starts from the principal
    plane, so that the same vectors give the same picture."""
    from sklearn.manifold import TSNE

    start = principal_plane(vectors).points
    if len(vectors) < 3:
        return start
    perplexity = min(_NEIGHBOURS, (len(vectors) - 1) / 3)
    tsne = TSNE(
        perplexity=perplexity,
        init=start / (np.std(start[:, 0]) or 1.0) * 1e-4,  # as scikit-learn's own "pca", also where all are alike
        metric="cosine" if cosine else "euclidean",
        method="exact",  # sums in one order, whatever the number of threads
        random_state=0,
    )
    return tsne.fit_transform(np.asarray(vectors, np.float64))
