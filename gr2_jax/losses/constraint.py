"""The grade constraint of Eq. 9: no higher grade has a larger loss than a lower one."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gr2_jax.losses.checks import check_choice

Constraint = Literal["running_max", "literal", "off"]


def constrain(
    losses: Float[Array, "B P"], grades: Int[Array, "B P"], *, num_grades: int, constraint: Constraint, gradient: bool
) -> Float[Array, "B P"]:
    """Applies the constraint; entries of grade 0 pass unchanged. `gradient`: whether gradients flow through the bound.

    "running_max": each loss becomes the larger of itself and the largest loss of all higher grades of its row.
    "literal": the smaller of itself and the smallest loss of the next higher grade. "off": the losses unchanged.
    Raises UserError for another constraint.
    """
    check_choice("constraint", constraint, ("running_max", "literal", "off"))
    if constraint == "off":
        return losses
    # the paper's -max(l_pair, max l_pair) is min(loss, min loss)
    sign = 1.0 if constraint == "running_max" else -1.0
    signed = sign * losses
    final = signed
    bound = jnp.full_like(signed[:, :1], -jnp.inf)
    for l in range(num_grades, 0, -1):
        of_grade = grades == l
        final = jnp.where(of_grade, jnp.maximum(signed, bound if gradient else jax.lax.stop_gradient(bound)), final)
        largest = jnp.max(jnp.where(of_grade, signed, -jnp.inf), axis=-1, keepdims=True)
        bound = jnp.maximum(bound, largest) if constraint == "running_max" else largest
    return sign * final
