"""The grade constraint of Eq. 9: no higher grade has a larger loss than a lower one."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gr2_jax.losses.checks import check_choice
from gr2_jax.losses.per_grade import at_own_grade, largest_of_grades

Constraint = Literal["running_max", "literal", "off"]


def constrain_pairs(
    losses: Float[Array, "B P"], grades: Int[Array, "B P"], *, num_grades: int, constraint: Constraint, gradient: bool
) -> Float[Array, "B P"]:
    """Applies the constraint; entries of grade 0 pass unchanged. `gradient`: whether gradients flow through the bound.

    "running_max": each loss becomes the larger of itself and the largest loss of all higher grades of its row.
    "literal": the smaller of itself and the smallest loss of the next higher grade. "off": the losses unchanged.
    Raises UserError for another constraint.
    """
    if _is_off(constraint):
        return losses
    sign = _SIGNS[constraint]
    largest = largest_of_grades(sign * losses, grades, num_grades)
    bounds = at_own_grade(_bounds(largest, constraint, gradient), grades)
    return jnp.where(grades > 0, sign * jnp.maximum(sign * losses, bounds), losses)


def constrain_means(
    means: Float[Array, "B L"], counts: Int[Array, "B L"], *, constraint: Constraint, gradient: bool
) -> Float[Array, "B L"]:
    """The same for one loss per grade, at l - 1; a grade that a row does not have, count 0, passes unchanged."""
    if _is_off(constraint):
        return means
    sign = _SIGNS[constraint]
    bounds = _bounds(jnp.where(counts > 0, sign * means, -jnp.inf), constraint, gradient)
    return jnp.where(counts > 0, sign * jnp.maximum(sign * means, bounds), means)


_SIGNS = {"running_max": 1.0, "literal": -1.0}  # the paper's -max(l_pair, max l_pair) is min(loss, min loss)


def _is_off(constraint: Constraint) -> bool:
    check_choice("constraint", constraint, (*_SIGNS, "off"))
    return constraint == "off"


def _bounds(largest: Float[Array, "B L"], constraint: Constraint, gradient: bool) -> Float[Array, "B L"]:
    """The bound on each grade, from the largest signed loss of each, which is -inf where there is none."""
    if constraint == "running_max":
        largest = jax.lax.cummax(largest, axis=1, reverse=True)
    bounds = jnp.pad(largest[:, 1:], [(0, 0), (0, 1)], constant_values=-jnp.inf)
    return bounds if gradient else jax.lax.stop_gradient(bounds)
