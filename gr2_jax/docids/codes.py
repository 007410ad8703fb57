"""Docids from quantisation: residual (each code refines those before it) and product (each code is one slice)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.docids.clusters import SAMPLE_PER_CODE, UnitRows, Vectors, chunks, draw, learn_centroids, nearest
from gr2_jax.errors import UserError

_SCORES = 1 << 23  # of tuples at a time: 32 MiB


class Codes(NamedTuple):
    """Vector n is close to the sum over l of centroids[l, codes[n, l]]."""

    codes: Int[np.ndarray, "N L"]
    """Level l's code of each document, in 0 .. C-1, int32."""
    centroids: Float[np.ndarray, "L C F"]
    """Level l's centroids, float32."""


def residual_codes(vectors: Vectors, *, levels: int, codes: int, seed: int) -> Codes:
    """k-means on the unit vectors, then on the residuals, `levels` times, as RIPOR (Zeng et al. 2024) does. On
    residuals it starts from their directions.

    The centroids are learnt from a sample of 256 vectors per code; then all vectors, which may be memory-mapped, are
    read once and coded chunk by chunk. Raises UserError for fewer documents than codes or no codes.
    """
    documents = UnitRows(vectors)
    left, centroids = draw(documents, SAMPLE_PER_CODE * codes, seed=seed), []
    for level in range(levels):
        centroids.append(learn_centroids(left, codes, seed=seed + level, by_direction=level > 0))
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


def centroids_elsewhere(vectors: Vectors, codes: Int[np.ndarray, "N L"], count: int) -> Float[np.ndarray, "L C F"]:
    """The centroids of codes 0 .. `count` - 1 in another space of the same documents: the mean, level by level, of what
    the levels before leave of the documents' vectors there. Zero for a code that no document has; float32."""
    centroids = np.zeros((codes.shape[1], count, vectors[:1].shape[1]), np.float32)
    for level, means in enumerate(centroids):
        sums = np.zeros(means.shape)
        for rows in chunks(len(codes)):
            left = vectors[rows] - sum(centroids[before][codes[rows, before]] for before in range(level))
            np.add.at(sums, codes[rows, level], left)
        means[:] = sums / np.maximum(np.bincount(codes[:, level], minlength=count), 1)[:, None]
    return centroids


def nearest_tuples(vectors: Vectors, centroids: Float[np.ndarray, "L C F"], count: int) -> Int[np.ndarray, "n K L"]:
    """The K = min(count, C^L) tuples of codes whose centroids sum to about each vector, the nearest first, int32.

    A document that cannot have the nearest tuple, because another has it, takes the next: codes that still say
    what the document is, which a suffix does not. Found by a beam of `count` tuples over the levels: exact for one
    level, and for product codes with as many beams as codes.
    """
    levels, codes, _ = centroids.shape
    flat = centroids.reshape(levels * codes, -1)
    products = (flat @ flat.T).reshape(levels, codes, levels, codes)
    at_once = max(1, _SCORES // (count * codes))
    starts = range(0, len(vectors), at_once)
    return np.concatenate([_beam(vectors[start : start + at_once], flat, products, count) for start in starts])


def _beam(
    vectors: Float[np.ndarray, "n F"],
    flat: Float[np.ndarray, "LC F"],
    products: Float[np.ndarray, "L C L C"],
    count: int,
) -> Int[np.ndarray, "n K L"]:
    """|x - sum_l c_l|^2 less |x|^2, added up level by level: -2 x.c_l + |c_l|^2 + 2 sum_{m < l} c_m.c_l."""
    levels, codes = products.shape[:2]
    likeness = (vectors @ flat.T).reshape(len(vectors), levels, codes)
    distances = np.zeros((len(vectors), 1), np.float32)
    tuples = np.zeros((len(vectors), 1, 0), np.int32)
    for level in range(levels):
        step = np.diagonal(products[level, :, level]) - 2 * likeness[:, level]  # [n, C]
        longer = distances[:, :, None] + step[:, None]
        for before in range(level):
            longer += 2 * products[before, :, level][tuples[:, :, before]]
        longer = longer.reshape(len(vectors), -1)
        best = _smallest(longer, count)
        distances = np.take_along_axis(longer, best, axis=1)
        parents = np.take_along_axis(tuples, (best // codes)[:, :, None], axis=1)
        tuples = np.concatenate([parents, (best % codes)[:, :, None].astype(np.int32)], axis=2)
    return tuples


def _smallest(values: Float[np.ndarray, "n M"], count: int) -> Int[np.ndarray, "n K"]:
    """The columns of each row's smallest values, in order, equal ones by column."""
    if count < values.shape[1]:
        kept = np.sort(np.argpartition(values, count - 1, axis=1)[:, :count], axis=1)
    else:
        kept = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    order = np.argsort(np.take_along_axis(values, kept, axis=1), axis=1, kind="stable")
    return np.take_along_axis(kept, order, axis=1)
