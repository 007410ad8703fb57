"""Arrays whose rows are divided over devices: a table of documents, or a trie's nodes; read inside `jax.shard_map`.

Of N rows device i of D holds i n to (i + 1) n - 1, n = ceil(N / D); the last ones are padding. A device asks for rows
that others hold by two exchanges: its queries or row numbers go to all, and what each found comes back.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Shaped

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


@functools.partial(jax.tree_util.register_dataclass, data_fields=["part"], meta_fields=["axis"])
@dataclasses.dataclass(frozen=True)
class Divided:
    """An array whose rows are divided over the devices of a mesh axis, in equal parts, read by row: `table[rows]`, or
    `table[rows, columns]`. Every reading is an exchange in which all devices take part; each asks for rows of its own
    choice, by numbers of the same shape, [B, ...], and gets them.
    """

    part: Shaped[Array, "n *row"]
    axis: str

    def __len__(self) -> int:
        return len(self.part) * lax.axis_size(self.axis)

    def __getitem__(self, index: Any) -> Array:
        rows, *others = index if isinstance(index, tuple) else (index,)
        held = len(self.part)
        rows, *others = (lax.all_gather(numbers, self.axis, tiled=True) for numbers in (rows, *others))
        local = rows - lax.axis_index(self.axis) * held
        mine = (local >= 0) & (local < held)
        found = self.part[(jnp.clip(local, 0, held - 1), *others)]
        found = jnp.where(mine.reshape(mine.shape + (1,) * (found.ndim - mine.ndim)), found, jnp.zeros((), found.dtype))
        return lax.psum_scatter(found, self.axis, scatter_dimension=0, tiled=True)  # all but one are 0
