"""What every beam search here needs: the model as a step function, keeping the best beams, moving their state."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

Cache = PyTree[Any]

Step = Callable[[Int[Array, "B M"], Int[Array, ""], Cache], tuple[Float[Array, "B M C"], Cache]]
"""One decoder step, `(tokens, position, cache) -> (logits, cache)`.

`tokens` int32 [B, M] is the last token of each beam, `position` an int32 scalar counting from 0, and every leaf of
`cache` leads with [B, M]. The first call has M = 1 (at the root all beams are the same), the others M = beams: read M
from `tokens.shape`. What does not differ between beams (the encoder's keys and values) is closed over, not cached.
"""


def first_beam(cache: Cache) -> Cache:
    """Returns the cache of the first beam alone, [B, 1, ...]."""
    return jax.tree.map(lambda leaf: leaf[:, :1], cache)


def reorder(cache: Cache, parents: Int[Array, "B M"]) -> Cache:
    """Gives each new beam a copy of the state of the beam it grew from."""

    def move(leaf: Array) -> Array:
        return jnp.take_along_axis(leaf, parents.reshape(parents.shape + (1,) * (leaf.ndim - 2)), axis=1)

    return jax.tree.map(move, cache)


def keep_best(
    scores: Float[Array, "B n"], beams: int
) -> tuple[Float[Array, "B M"], Int[Array, "B M"], Float[Array, "B"]]:
    """Keeps the `beams` best of n candidates per query; equal scores: the lower index.

    Returns:
      their scores, best first, filled up with -inf where n < beams; their indices, 0 where filled up; and the best
      score left out, -inf if none was.
    """
    missing = max(0, beams + 1 - scores.shape[1])
    padded = jnp.pad(scores, ((0, 0), (0, missing)), constant_values=-jnp.inf)
    # The barriers keep XLA from merging top-k's slice with those below: it would no longer see a top-k, and sort all n.
    # One for each array: XLA for CPU aborts on a barrier around both where a program runs on several devices.
    best, index = map(lax.optimization_barrier, lax.top_k(padded, beams + 1))
    index = jnp.where(index < scores.shape[1], index, 0)
    return best[:, :beams], index[:, :beams], best[:, beams]
