"""Exact vector search: the dot product of every document with every query, keeping only the best k so far."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.errors import UserError
from gr2_jax.search.searcher import BatchOptions, Hit, check_depth, rows_among

_QUERIES, _DOCUMENTS = 64, 16384  # per matrix product


class Nearest(NamedTuple):
    """The best documents of each query, best first, equal scores by row; k is at most N."""

    scores: Float[np.ndarray, "Q k"]
    rows: Int[np.ndarray, "Q k"]


@dataclasses.dataclass(frozen=True, eq=False)
class DenseIndex:
    """A `Searcher` that compares a query's vector with every document's.

    doc_ids        row -> document id
    vectors        float32 [N, D], in memory or in a mapped file (`np.load(path, mmap_mode="r")`)
    encode         texts, and how many are read at once -> vectors [Q, D]
    model_bytes    size of the encoder
    allowed        the documents that are found; None: all
    """

    doc_ids: Sequence[str]
    vectors: Float[np.ndarray, "N D"]
    encode: Callable[[Sequence[str], int], Float[np.ndarray, "Q D"]]
    model_bytes: int = 0
    options: BatchOptions = BatchOptions(_QUERIES)
    allowed: Bool[np.ndarray, "N"] | None = None
    proves = True

    @property
    def index_bytes(self) -> int:
        return self.vectors.nbytes

    def query_vectors(self, queries: Sequence[str]) -> Float[np.ndarray, "Q D"]:
        return self.encode(queries, self.options.batch)

    def document_vectors(self, rows: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n D"]:
        return np.asarray(self.vectors[rows])

    def with_options(self, **changes: Any) -> "DenseIndex":
        """Takes `batch` alone: the search compares every document, so it has no beams and nothing to prove."""
        for name in changes:
            if name != "batch":
                raise UserError(f"a dense row compares every document, '{name}' is for rows that write docids")
        return dataclasses.replace(self, options=dataclasses.replace(self.options, **changes))

    def only(self, doc_ids: Collection[str]) -> "DenseIndex":
        return dataclasses.replace(self, allowed=rows_among(self.doc_ids, doc_ids, self.allowed))

    def search(self, queries: Sequence[str], k: int = 20, *, whole_batches: bool = False) -> list[list[Hit]]:
        """The `k` documents with the largest product with each query, equal scores in document order; hits have no
        `docid` and are all proven."""
        check_depth(k)
        if not queries:
            return []
        batch = self.options.batch
        if not whole_batches:
            batch = min(batch, 1 << (len(queries) - 1).bit_length())
        found = nearest_rows(self.encode(queries, batch), self.vectors, k, batch=batch, allowed=self.allowed)
        return [
            [
                Hit(self.doc_ids[row], "", float(score), proven=True)
                for row, score in zip(rows, scores, strict=True)
                if score > -np.inf
            ]
            for scores, rows in zip(*found, strict=True)
        ]


def nearest_rows(
    queries: Float[np.ndarray, "Q D"],
    vectors: Float[np.ndarray, "N D"],
    k: int,
    *,
    chunk: int = _DOCUMENTS,
    batch: int = _QUERIES,
    allowed: Bool[np.ndarray, "N"] | None = None,
) -> Nearest:
    """The `k` rows of `vectors` with the largest dot product with each query; all N where k is more. Rows that are not
    `allowed` have a score of -inf.

    `vectors` are read once, `chunk` at a time; a device holds one chunk, the queries, and their best so far.
    """
    k, count = min(k, len(vectors)), len(queries)
    parts = _parts(queries, batch)
    best = [(jnp.full((batch, k), -jnp.inf), jnp.full((batch, k), -1, jnp.int32)) for _ in parts]
    for start, documents, real in _chunks(vectors, chunk):
        counts = np.arange(len(documents)) < real
        if allowed is not None:
            counts[:real] &= allowed[start : start + real]
        best = [_merge(part, *old, documents, start, counts) for part, old in zip(parts, best, strict=True)]
    return Nearest(*(np.concatenate([np.asarray(x) for x in side])[:count] for side in zip(*best, strict=True)))


def _parts(queries: Float[np.ndarray, "Q D"], size: int) -> list[Array]:
    """Parts of `size` queries, the last one padded: one shape, one compilation."""
    padded = np.pad(queries, [(0, -len(queries) % size), (0, 0)])
    return [jnp.asarray(padded[start : start + size]) for start in range(0, len(padded), size)]


def _chunks(vectors: Float[np.ndarray, "N D"], size: int) -> Iterator[tuple[int, Array, int]]:
    """(first row, vectors on the device, number of real rows); the last of several chunks is padded."""
    size = min(size, len(vectors))
    for start in range(0, len(vectors), size):
        part = np.asarray(vectors[start : start + size], np.float32)
        whole = part if len(part) == size else np.pad(part, [(0, size - len(part)), (0, 0)])
        yield start, jnp.asarray(whole), len(part)


@partial(jax.jit, donate_argnums=(1, 2))
def _merge(
    queries: Float[Array, "B D"],
    scores: Float[Array, "B k"],
    rows: Int[Array, "B k"],
    documents: Float[Array, "n D"],
    start: Int[Array, ""],
    counts: Bool[Array, "n"],
) -> tuple[Float[Array, "B k"], Int[Array, "B k"]]:
    """The best so far, merged with further documents; of equal scores `top_k` takes the first: the lower row."""
    new = jnp.einsum("bd,nd->bn", queries, documents, precision=lax.Precision.HIGHEST)
    new = jnp.where(new == 0, 0.0, new)  # top_k ranks 0 above -0
    places = jnp.arange(len(documents), dtype=jnp.int32)
    new = jnp.where(counts, new, -jnp.inf)
    both = jnp.concatenate([scores, new], axis=1)
    scores, chosen = lax.top_k(both, scores.shape[1])
    both_rows = jnp.concatenate([rows, jnp.broadcast_to(start + places, new.shape)], axis=1)
    return scores, jnp.take_along_axis(both_rows, chosen, axis=1)
