"""Docids from residual quantisation: each token says what the tokens before it left unsaid of the document's vector."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.errors import UserError


class ResidualCodes(NamedTuple):
    codes: Int[np.ndarray, "N L"]
    """Level l's code of each document, in 0 .. codes-1."""
    centroids: Float[np.ndarray, "L C F"]
    """Level l's centroids, of what the levels above it left over."""


def residual_codes(vectors: Float[np.ndarray, "N F"], *, levels: int, codes: int, seed: int) -> ResidualCodes:
    """k-means on the unit vectors, then on the residuals, `levels` times (scikit-learn's KMeans)."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    if codes > len(vectors):
        raise UserError(f"{codes} codes a level need as many documents, and there are {len(vectors)}")
    left = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    chosen, centroids = [], []
    for level in range(levels):
        with threadpool_limits(1):  # several threads add up in an order of their own: other bytes every time
            means = KMeans(codes, n_init=1, random_state=seed + level).fit(left)
        chosen.append(means.labels_)
        centroids.append(means.cluster_centers_)
        left = left - means.cluster_centers_[means.labels_]
    return ResidualCodes(np.stack(chosen, axis=1), np.stack(centroids))
