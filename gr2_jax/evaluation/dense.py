"""Exact search among vectors: every document's product with every query, the best k kept on the way."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from gr2_jax.evaluation.trec import Run

_QUERIES, _DOCUMENTS = 64, 16384  # of one product


class Nearest(NamedTuple):
    """The best documents of each query, best first, equal scores by row; k is at most N."""

    scores: Float[np.ndarray, "Q k"]
    rows: Int[np.ndarray, "Q k"]


class DenseIndex:
    """Documents as vectors, in memory or in a mapped file (`np.load(path, mmap_mode="r")`)."""

    def __init__(
        self,
        doc_ids: Sequence[str],
        vectors: Float[np.ndarray, "N D"],
        encode: Callable[[Sequence[str]], Float[np.ndarray, "Q D"]],
    ):
        self._doc_ids, self._vectors, self._encode = doc_ids, vectors, encode

    @property
    def nbytes(self) -> int:
        return self._vectors.nbytes

    def search(self, queries: dict[str, str], k: int = 100) -> Run:
        """Returns the `k` documents of the largest product with each query (id -> text), equal scores in document
        order."""
        if not queries:
            return {}
        found = nearest_rows(self._encode(list(queries.values())), self._vectors, k)
        return {
            query: [(self._doc_ids[row], float(score)) for row, score in zip(rows, scores, strict=True)]
            for query, scores, rows in zip(queries, *found, strict=True)
        }


def nearest_rows(
    queries: Float[np.ndarray, "Q D"],
    vectors: Float[np.ndarray, "N D"],
    k: int,
    *,
    chunk: int = _DOCUMENTS,
    batch: int = _QUERIES,
) -> Nearest:
    """The `k` rows of `vectors` with the largest dot product with each query; all N where k is more.

    `vectors` are read once, `chunk` at a time; a device holds so many, the queries, and their best so far.
    """
    k, count = min(k, len(vectors)), len(queries)
    parts = _parts(queries, batch)
    best = [(jnp.full((batch, k), -jnp.inf), jnp.full((batch, k), -1, jnp.int32)) for _ in parts]
    for start, documents, real in _chunks(vectors, chunk):
        best = [_merge(part, *old, documents, start, real) for part, old in zip(parts, best, strict=True)]
    return Nearest(*(np.concatenate([np.asarray(x) for x in side])[:count] for side in zip(*best, strict=True)))


def _parts(queries: Float[np.ndarray, "Q D"], size: int) -> list[Array]:
    """`size` queries each, the last filled up: one shape, one compilation."""
    padded = np.pad(queries, [(0, -len(queries) % size), (0, 0)])
    return [jnp.asarray(padded[start : start + size]) for start in range(0, len(padded), size)]


def _chunks(vectors: Float[np.ndarray, "N D"], size: int) -> Iterator[tuple[int, Array, int]]:
    """(first row, vectors on the device, how many are real): filled up where there are several."""
    size = min(size, len(vectors))
    for start in range(0, len(vectors), size):
        part = np.asarray(vectors[start : start + size], np.float32)
        yield start, jnp.asarray(np.pad(part, [(0, size - len(part)), (0, 0)])), len(part)


@partial(jax.jit, donate_argnums=(1, 2))
def _merge(
    queries: Float[Array, "B D"],
    scores: Float[Array, "B k"],
    rows: Int[Array, "B k"],
    documents: Float[Array, "n D"],
    start: Int[Array, ""],
    real: Int[Array, ""],
) -> tuple[Float[Array, "B k"], Int[Array, "B k"]]:
    """The best so far, and of further documents; of equal scores `top_k` takes the first, which is of the lower row."""
    new = jnp.einsum("bd,nd->bn", queries, documents, precision=lax.Precision.HIGHEST)
    new = jnp.where(new == 0, 0.0, new)  # to top_k, 0 is above -0
    places = jnp.arange(len(documents), dtype=jnp.int32)
    new = jnp.where(places < real, new, -jnp.inf)
    both = jnp.concatenate([scores, new], axis=1)
    scores, chosen = lax.top_k(both, scores.shape[1])
    both_rows = jnp.concatenate([rows, jnp.broadcast_to(start + places, new.shape)], axis=1)
    return scores, jnp.take_along_axis(both_rows, chosen, axis=1)
