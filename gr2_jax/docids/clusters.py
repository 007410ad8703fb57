"""k-means over any number of vectors: the centroids are learnt from a sample, the labels assigned chunk by chunk."""

import functools
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.errors import UserError

SAMPLE_PER_CODE = 256  # vectors to learn a centroid from, as in FAISS; more hardly move the mean
_CHUNK = 4096  # rows: with 4,096 centroids, 64 MiB of scores


class Vectors(Protocol):
    """The vectors to cluster: an array, a memory-mapped array, `UnitRows` or `SideBySide`, read only by slices and
    ascending rows."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: slice | Int[np.ndarray, " S"]) -> Float[np.ndarray, "S F"]: ...


class UnitRows:
    """Some rows of the vectors (all by default), in ascending order, each made float32 of unit length as it is read.

    A zero vector stays zero.
    """

    def __init__(self, vectors: Vectors, rows: Int[np.ndarray, " M"] | None = None):
        self.vectors, self.rows = vectors, rows

    def __len__(self) -> int:
        return len(self.vectors if self.rows is None else self.rows)

    def __getitem__(self, index: slice | Int[np.ndarray, " S"]) -> Float[np.ndarray, "S F"]:
        read = np.asarray(self.vectors[index if self.rows is None else self.rows[index]], np.float32)
        return read / np.maximum(np.linalg.norm(read, axis=1, keepdims=True), np.float32(1e-9))


class SideBySide:
    """Several vectors of each document as one: each of unit length, in a row. Memory-mapped ones are read by parts."""

    def __init__(self, parts: Sequence[Vectors]):
        self.parts = [UnitRows(part) for part in parts]

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, index: slice | Int[np.ndarray, " S"]) -> Float[np.ndarray, "S F"]:
        return np.concatenate([part[index] for part in self.parts], axis=1)


class Clusters(NamedTuple):
    labels: Int[np.ndarray, " N"]
    """The index of each vector's nearest centroid, int32."""
    centroids: Float[np.ndarray, "C F"]


def k_means(vectors: Vectors, codes: int, *, seed: int, sample: int | None = None) -> Clusters:
    """Lloyd's k-means with `codes` centroids, learnt from at most `sample` vectors (256 per code) drawn by the seed.

    Beside the labels, memory holds the sample and one chunk. Raises UserError for no codes or fewer vectors.
    """
    drawn = draw(vectors, SAMPLE_PER_CODE * codes if sample is None else sample, seed=seed)
    centroids = learn_centroids(drawn, codes, seed=seed)
    return Clusters(nearest(vectors, centroids), centroids)


def draw(vectors: Vectors, count: int, *, seed: int) -> Float[np.ndarray, "S F"]:
    """`count` different vectors in the order of their rows, or all vectors if there are fewer."""
    if len(vectors) <= count:
        return np.asarray(vectors[:], np.float32)
    rows = np.random.default_rng(seed).choice(len(vectors), max(count, 0), replace=False, shuffle=False)
    return np.asarray(vectors[np.sort(rows)], np.float32)


def learn_centroids(
    vectors: Float[np.ndarray, "S F"], codes: int, *, seed: int, by_direction: bool = False
) -> Float[np.ndarray, "C F"]:
    """scikit-learn's KMeans, one start; centroids repeat if fewer than `codes` vectors are distinct.

    `by_direction` starts from the means of clusters of the vectors' directions. Residuals of many features lie all
    around zero: from a random start most of them stay in one cluster there, which is a worse optimum.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    if codes < 1:
        raise UserError(f"at least 1 code must be learnt, not {codes}")
    if codes > len(vectors):
        documents = f"{len(vectors)} document{'' if len(vectors) == 1 else 's'}"
        raise UserError(
            f"{codes} codes cannot be learnt from {documents}: there must be at least as many documents as codes"
        )
    start = _means_of_directions(vectors, codes, seed) if by_direction else "k-means++"
    # Several threads sum in varying order, so the bytes would differ from run to run.
    with _threads().limit(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # raised for duplicate vectors
        fitted = KMeans(codes, init=start, n_init=1, random_state=seed).fit(vectors)
        return fitted.cluster_centers_.astype(np.float32)


def _means_of_directions(vectors: Float[np.ndarray, "S F"], codes: int, seed: int) -> Float[np.ndarray, "C F"]:
    directions = UnitRows(vectors)[:]
    labels = nearest(directions, learn_centroids(directions, codes, seed=seed))
    sums = np.zeros((codes, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, vectors)
    return sums / np.maximum(np.bincount(labels, minlength=codes), 1)[:, None].astype(np.float32)


def nearest(vectors: Vectors, centroids: Float[np.ndarray, "C F"]) -> Int[np.ndarray, " N"]:
    """The nearest centroid of each vector by Euclidean distance, ties to the first, as int32."""
    # |x - c|² = |x|² - 2 (x·c - |c|²/2), and |x|² is the same for every c. Centring on the centroids' mean
    # loses little to cancellation.
    middle = centroids.mean(axis=0)
    centred = centroids - middle
    half_squares = np.square(centred).sum(axis=1) / 2
    labels = np.empty(len(vectors), np.int32)
    with _threads().limit(limits=1):
        for rows in chunks(len(vectors)):
            scores = (np.asarray(vectors[rows], np.float32) - middle) @ centred.T
            labels[rows] = np.argmax(np.subtract(scores, half_squares, out=scores), axis=1)
    return labels


def chunks(count: int) -> Iterator[slice]:
    """Slices that cover 0 .. count-1, each of a few thousand rows."""
    return (slice(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK))


@functools.cache
def _threads():
    """The controller of the thread pools of BLAS and scikit-learn; finding them takes longer than a small fit."""
    import sklearn.cluster  # noqa: F401 - loads the pools
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
