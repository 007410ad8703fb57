"""Docids from quantisation: residual (each code refines those before it) and product (each code is one slice)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.docids.clusters import SAMPLE_PER_CODE, UnitRows, chunks, draw, learn_centroids, nearest
from gr2_jax.errors import UserError


class Codes(NamedTuple):
    """Vector n is close to the sum over l of centroids[l, codes[n, l]]."""

    codes: Int[np.ndarray, "N L"]
    """Level l's code of each document, in 0 .. C-1, int32."""
    centroids: Float[np.ndarray, "L C F"]
    """Level l's centroids, float32."""


def residual_codes(vectors: Float[np.ndarray, "N F"], *, levels: int, codes: int, seed: int) -> Codes:
    """k-means on the unit vectors, then on the residuals, `levels` times, as RIPOR (Zeng et al. 2024) does.

    The centroids are learnt from a sample of 256 vectors per code; then all vectors, which may be memory-mapped, are
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


def product_codes(vectors: Float[np.ndarray, "N F"], *, parts: int, codes: int, seed: int) -> Codes:
    """The unit vector cut into `parts` slices, k-means in each, as in the PQ docids of Ultron (Zhou et al. 2022).

    Where `parts` does not divide F, the first slices are one feature longer. The centroids are zero outside their own
    slice, so that they sum to a vector like those of residual codes; `vectors` may be memory-mapped. Raises
    UserError for more parts than features, fewer documents than codes, no parts or no codes.
    """
    features = vectors.shape[1]
    if parts < 1:
        raise UserError(f"vectors must be cut into at least 1 part, not {parts}")
    if parts > features:
        number = f"{features} feature{'' if features == 1 else 's'}"
        raise UserError(
            f"vectors of {number} cannot be cut into {parts} parts: there must be at least as many features as parts"
        )
    documents = UnitRows(vectors)
    sample = draw(documents, SAMPLE_PER_CODE * codes, seed=seed)
    slices = np.array_split(np.arange(features), parts)
    centroids = np.zeros((parts, codes, features), np.float32)
    for part, columns in enumerate(slices):
        centroids[part][:, columns] = learn_centroids(sample[:, columns], codes, seed=seed + part)
    chosen = np.empty((len(documents), parts), np.int32)
    for rows in chunks(len(documents)):
        read = documents[rows]
        for part, columns in enumerate(slices):
            chosen[rows, part] = nearest(read[:, columns], centroids[part][:, columns])
    return Codes(chosen, centroids)
