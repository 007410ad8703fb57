"""Averaging within each grade, then over the grades that a query has: the order of Eq. 9 and Eq. 11."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gr2_jax.losses.checks import check_num_grades
from gr2_jax.losses.reduction import Reduction, reduce_masked


def means_and_counts(
    values: Float[Array, "B N"], grades: Int[Array, "B N"], num_grades: int
) -> tuple[Float[Array, "B L"], Int[Array, "B L"]]:
    """Mean of the values of each grade 1..L (0 where a query has none of it), and how many there are.

    Raises UserError where num_grades is below 1.
    """
    check_num_grades(num_grades)
    of_grade = [grades == l for l in range(1, num_grades + 1)]
    sums = jnp.stack([jnp.sum(jnp.where(mask, values, 0.0), axis=-1) for mask in of_grade], axis=-1)
    counts = jnp.stack([jnp.sum(mask, axis=-1) for mask in of_grade], axis=-1)
    return sums / jnp.maximum(counts, 1), counts


def over_grades(
    means: Float[Array, "B L"], counts: Int[Array, "B L"], grade_weights: Float[Array, "L"] | float
) -> Float[Array, "B"]:
    """1/|grades present| Σ_l w_l · mean_l of each query; 0 for a query without positives."""
    present = jnp.sum(counts > 0, axis=-1)
    return jnp.sum(grade_weights * means, axis=-1) / jnp.maximum(present, 1)


def graded_loss(
    losses: Float[Array, "B N"],
    grades: Int[Array, "B N"],
    *,
    num_grades: int,
    reduction: Reduction,
) -> Float[Array, ""]:
    """Losses averaged within each grade, then over the grades of a query; mean or sum over queries with a positive.

    A query that has a grade above num_grades is NaN: a wrong scale would otherwise silently drop its best documents.
    """
    means, counts = means_and_counts(losses, grades, num_grades)
    per_query = over_grades(means, counts, 1.0)
    per_query = jnp.where(jnp.any(grades > num_grades, axis=-1), jnp.nan, per_query)
    return reduce_masked(per_query, jnp.any(grades > 0, axis=-1), reduction)
