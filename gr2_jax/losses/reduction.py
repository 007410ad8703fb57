"""The last step of every loss: one number from a batch in which some entries do not count."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gr2_jax.losses.checks import check_choice

Reduction = Literal["mean", "sum"]


def reduce_masked(values: Float[Array, "B"], mask: Bool[Array, "B"], reduction: Reduction) -> Float[Array, ""]:
    """Mean or sum of the values under the mask; 0, with zero gradient, where the mask is empty.

    Raises UserError for an unknown reduction.
    """
    check_choice("reduction", reduction, ("mean", "sum"))
    total = jnp.sum(jnp.where(mask, values, 0.0))
    return total if reduction == "sum" else total / jnp.maximum(jnp.sum(mask), 1)
