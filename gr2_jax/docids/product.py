"""Docids from product quantisation: each code says where one slice of the document's vector lies."""

import numpy as np
from jaxtyping import Float

from gr2_jax.docids.clusters import SAMPLE_PER_CODE, UnitRows, chunks, draw, learn_centroids, nearest
from gr2_jax.docids.codes import Codes
from gr2_jax.errors import UserError


def product_codes(vectors: Float[np.ndarray, "N F"], *, parts: int, codes: int, seed: int) -> Codes:
    """The unit vector cut into `parts` slices, k-means in each, as in the PQ docids of Ultron (Zhou et al. 2022).

    Where `parts` does not divide F, the first slices are one feature longer. The centroids are zero outside their own
    slice, so that they add up to a vector as those of residual codes do; `vectors` may be memory-mapped. Raises
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
