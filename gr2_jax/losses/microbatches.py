"""Batches larger than device memory: representations are computed in parts, and one loss sees them all (GradCache)."""

from collections.abc import Callable
from typing import Any

import jax

from gr2_jax.errors import UserError


def in_microbatches(function: Callable, batch: Any, rng: jax.Array | None = None, *, count: int) -> Any:
    """`function(batch)`, or `function(batch, rng)` where a key is given, on a `count`-th of the batch's rows at a time.

    `function` maps arrays [b, ...] to a tree of arrays [b, ...], each row from the same input row alone:
    representations, token losses. The forward pass keeps only the results, and the backward pass computes each part
    again (GradCache, Gao et al., RepL4NLP 2021; here rematerialisation of a loop's body). A loss on the results, such
    as one with in-batch negatives, therefore has exactly the value and gradients of the whole batch, with the memory of
    one part and the time of one more forward pass. Draws from `rng` (dropout) differ from part to part.

    A part is every `count`-th row, so rows that are sharded over devices stay evenly sharded in each part.

    Raises UserError where `count` is below 1 or does not divide the rows of some array.
    """
    if count < 1:
        raise UserError(f"count={count} must be at least 1")
    keyed = () if rng is None else (rng,)
    if count == 1:
        return function(batch, *keyed)
    for size in sorted({len(rows) for rows in jax.tree.leaves(batch)}):
        if size % count:
            raise UserError(
                f"{size} rows of a batch cannot be divided into {count} microbatches of the same size, and unequal "
                "ones would not give the gradient of the whole batch"
            )
    parts = jax.tree.map(lambda x: x.reshape(-1, count, *x.shape[1:]).swapaxes(0, 1), batch)
    compute = jax.checkpoint(function, prevent_cse=False)  # a loop's body is never merged with its recomputation
    results = jax.lax.map(lambda part: compute(*part), (parts, *(jax.random.split(key, count) for key in keyed)))
    return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:]), results)
