"""Tables of one row per document whose rows are divided over devices, read inside `jax.shard_map`.

Device i of D holds the rows i n to (i + 1) n - 1, n = ceil(N / D); the last ones are padding. A device asks for rows
that others hold by two exchanges: its queries or row numbers go to all, and what each found comes back.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, Shaped

from gr2_jax.decoding.nearest import Nearest, Vectors, nearest_docids


def nearest_over(axis: str, queries: Shaped[Array, "B F"], vectors: Vectors, documents: int, k: int) -> Nearest:
    """`nearest_docids` of this device's queries among the rows of every device.

    Args:
      axis: the mesh axis over which the rows are divided.
      vectors: this device's rows.
      documents: N.
    """
    held = len(vectors.values)
    first = lax.axis_index(axis) * held
    everybodys = lax.all_gather(queries, axis, tiled=True)
    found = nearest_docids(everybodys, vectors, k, count=jnp.clip(documents - first, 0, held))
    rows = jnp.where(found.rows >= 0, found.rows + first, -1)
    # the first device's first: of equal similarities top_k takes the lower row
    rows, similar = (
        lax.all_to_all(part, axis, split_axis=0, concat_axis=1, tiled=True) for part in (rows, found.similarities)
    )
    best, chosen = lax.top_k(similar, k)
    return Nearest(jnp.take_along_axis(rows, chosen, axis=1), best)


def rows_over(axis: str, table: Shaped[Array, "n *row"], rows: Int[Array, "B m"]) -> Shaped[Array, "B m *row"]:
    """`table[rows]` for this device's row numbers, which may be of any device's rows."""
    held = len(table)
    local = lax.all_gather(rows, axis, tiled=True) - lax.axis_index(axis) * held
    mine = (local >= 0) & (local < held)
    found = table[jnp.clip(local, 0, held - 1)]
    found = jnp.where(mine.reshape(mine.shape + (1,) * (found.ndim - 2)), found, jnp.zeros((), found.dtype))
    return lax.psum_scatter(found, axis, scatter_dimension=0, tiled=True)  # all but one are 0
