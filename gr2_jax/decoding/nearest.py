"""The docids nearest to a query's vector, in a compiled program: an exact product in blocks that keeps the best k."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

_BLOCK = 16384  # docids per matrix product


class Vectors(NamedTuple):
    """f_id of every document by row. `values` may be of any type; int8 ones are multiplied by the row's scale. Only
    documents that are `allowed` are found; None: all are."""

    values: Float[Array, "N F"] | Int[Array, "N F"]
    scales: Float[Array, "N"] | None = None
    allowed: Bool[Array, "N"] | None = None


class Nearest(NamedTuple):
    """Best first, equal similarities by row; row -1 and similarity -inf beyond the corpus."""

    rows: Int[Array, "B k"]
    similarities: Float[Array, "B k"]


def nearest_docids(
    queries: Float[Array, "B F"],
    vectors: Vectors,
    k: int,
    *,
    count: int | Int[Array, ""] | None = None,
    block: int = _BLOCK,
) -> Nearest:
    """The k documents whose vectors have the largest product with each query's, of the first `count` (default: all).

    Nothing of the size [B, N] is held: `block` documents are compared at once and merged with the best so far.
    """
    vectors, held = jax.tree.map(jnp.asarray, vectors), len(vectors.values)
    count = held if count is None else count
    block = -(-held // -(-held // min(block, held)))
    places = jnp.arange(-(-held // block) * block, dtype=jnp.int32).reshape(-1, block)

    def merge(best: Nearest, rows: Int[Array, "block"]) -> tuple[Nearest, None]:
        some = jnp.minimum(rows, held - 1)
        counts = rows < count if vectors.allowed is None else (rows < count) & vectors.allowed[some]
        found = jnp.where(counts, similarities_of_all(queries, vectors, some), -jnp.inf)
        both = jnp.concatenate([best.similarities, jnp.where(found == 0, 0.0, found)], axis=1)  # top_k ranks 0 above -0
        similarities, chosen = lax.top_k(both, k)  # of equal ones the first: the lower row
        both_rows = jnp.concatenate([best.rows, jnp.broadcast_to(rows, found.shape)], axis=1)
        return Nearest(jnp.take_along_axis(both_rows, chosen, axis=1), similarities), None

    nothing = Nearest(jnp.full((len(queries), k), -1, jnp.int32), jnp.full((len(queries), k), -jnp.inf))
    best, _ = lax.scan(merge, nothing, places)
    return best._replace(rows=jnp.where(best.similarities > -jnp.inf, best.rows, -1))


def similarities_of_all(queries: Float[Array, "B F"], vectors: Vectors, rows: Int[Array, "n"]) -> Float[Array, "B n"]:
    """Products of every query with the same rows, in float32."""
    found = jnp.einsum("bf,nf->bn", queries, vectors.values[rows].astype(jnp.float32), precision=lax.Precision.HIGHEST)
    return found if vectors.scales is None else found * vectors.scales[rows]


def similarities_of_each(queries: Float[Array, "B F"], own: Vectors) -> Float[Array, "B n"]:
    """Products of every query with vectors of its own, [B, n, F] with scales [B, n], in float32."""
    found = jnp.einsum("bf,bnf->bn", queries, own.values.astype(jnp.float32), precision=lax.Precision.HIGHEST)
    return found if own.scales is None else found * own.scales
