"""Docids from residual quantisation: each code says what the codes before it left unsaid of the document's vector."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.docids.clusters import SAMPLE_PER_CODE, UnitRows, chunks, draw, learn_centroids, nearest


class Codes(NamedTuple):
    """A vector is near to the sum over l of centroids[l, codes[n, l]]."""

    codes: Int[np.ndarray, "N L"]
    """Level l's code of each document, in 0 .. C-1, int32."""
    centroids: Float[np.ndarray, "L C F"]
    """Level l's centroids, float32."""


def residual_codes(vectors: Float[np.ndarray, "N F"], *, levels: int, codes: int, seed: int) -> Codes:
    """k-means on the unit vectors, then on the residuals, `levels` times, as RIPOR (Zeng et al. 2024) does.

    The centroids are learnt from a sample of 256 vectors a code; then all vectors, which may be memory-mapped, are
    read once and coded chunk by chunk. Raises UserError for fewer documents than codes or no codes.
    """
    documents = UnitRows(vectors)
    left, centroids = draw(documents, SAMPLE_PER_CODE * codes, seed=seed), []
    for level in range(levels):
        centroids.append(learn_centroids(left, codes, seed=seed + level))
        left = left - centroids[-1][nearest(left, centroids[-1])]
    chosen = np.empty((len(documents), levels), np.int32)
    for rows in chunks(len(documents)):
        left = documents[rows]
        for level, means in enumerate(centroids):
            chosen[rows, level] = nearest(left, means)
            left = left - means[chosen[rows, level]]
    return Codes(chosen, np.stack(centroids))
