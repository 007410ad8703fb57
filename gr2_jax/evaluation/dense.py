"""Exact search among vectors: every document's product with every query, the best k kept on the way."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from gr2_jax.errors import UserError
from gr2_jax.evaluation.searcher import Hit, check_depth

_QUERIES, _DOCUMENTS = 64, 16384  # of one product


class Nearest(NamedTuple):
    """The best documents of each query, best first, equal scores by row; k is at most N."""

    scores: Float[np.ndarray, "Q k"]
    rows: Int[np.ndarray, "Q k"]


@dataclasses.dataclass(frozen=True)
class DenseOptions:
    """batch: queries that meet the documents in one product."""

    batch: int = _QUERIES


@dataclasses.dataclass(frozen=True, eq=False)
class DenseIndex:
    """A `Searcher` that compares a query's vector with every document's.

    doc_ids        row -> document id
    vectors        float32 [N, D], in memory or in a mapped file (`np.load(path, mmap_mode="r")`)
    encode         texts -> vectors [Q, D]
    model_bytes    of what encodes
    """

    doc_ids: Sequence[str]
    vectors: Float[np.ndarray, "N D"]
    encode: Callable[[Sequence[str]], Float[np.ndarray, "Q D"]]
    model_bytes: int = 0
    options: DenseOptions = DenseOptions()

    @property
    def index_bytes(self) -> int:
        return self.vectors.nbytes

    def with_options(self, **changes: Any) -> "DenseIndex":
        """Takes `batch` alone: every document is compared, there are no beams and nothing to prove."""
        for name in changes:
            if name != "batch":
                raise UserError(f"a dense row compares every document, '{name}' is for rows that write docids")
        return dataclasses.replace(self, options=dataclasses.replace(self.options, **changes))

    def search(self, queries: Sequence[str], k: int = 20, *, whole_batches: bool = False) -> list[list[Hit]]:
        """The `k` documents of the largest product with each query, equal scores in document order; no `docid`, and
        every hit exact. Batches are always whole."""
        check_depth(k)
        if not queries:
            return []
        found = nearest_rows(self.encode(queries), self.vectors, k, batch=self.options.batch)
        return [
            [Hit(self.doc_ids[row], "", float(score), exact=True) for row, score in zip(rows, scores, strict=True)]
            for scores, rows in zip(*found, strict=True)
        ]


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
