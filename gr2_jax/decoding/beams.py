"""What every beam search here needs: the model as a step function, keeping the best beams, moving their state."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree

Cache = PyTree[Any]

Step = Callable[[Int[Array, "B M"], Int[Array, ""], Cache], tuple[Float[Array, "B M C"], Cache]]
"""One decoder step, `(tokens, position, cache) -> (logits, cache)`.

`tokens` int32 [B, M] is the last token of each beam, `position` an int32 scalar counting from 0, and every leaf of
`cache` leads with [B, M]. The first call has M = 1 (at the root all beams are the same), the others M = beams: read M
from `tokens.shape`. What does not differ between beams (the encoder's keys and values) is closed over, not cached.

A search that scores tails also calls it with tokens [B, M, R], R consecutive tokens per beam from `position` on, and
expects logits [B, M, R, C].
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
    """Keeps the `beams` best of n candidates per query; ties go to the lower index.

    Returns:
      their scores, best first, padded with -inf where n < beams; their indices, 0 in the padding; and the best score
      not kept, -inf if all are.
    """
    missing = max(0, beams + 1 - scores.shape[1])
    padded = jnp.pad(scores, ((0, 0), (0, missing)), constant_values=-jnp.inf)
    # The barriers keep XLA from merging top-k's slice with those below: it would then see no top-k and sort all n.
    # Each array has its own: XLA for CPU aborts on a barrier around both in a program for several devices.
    best, index = map(lax.optimization_barrier, lax.top_k(padded, beams + 1))
    index = jnp.where(index < scores.shape[1], index, 0)
    return best[:, :beams], index[:, :beams], best[:, beams]


def stops(
    best_live: Float[Array, "B"],
    worst_finished: Float[Array, "B"],
    length: Int[Array, ""],
    max_length: int,
    length_penalty: float,
    early_stopping: bool | Literal["never"],
) -> Bool[Array, "B"]:
    """Whether each query's search is over; the M-th finished score is -inf until M have finished."""
    if early_stopping == "never":
        # likelihood only falls: no beam will score above its present likelihood over its most favourable length
        return best_live / (max_length if length_penalty > 0 else length) ** length_penalty <= worst_finished
    if early_stopping:
        return worst_finished > -jnp.inf
    return best_live / length**length_penalty <= worst_finished
