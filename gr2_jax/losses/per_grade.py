"""Reductions by grade, and averaging within each grade, then over the grades that a query has (Eq. 9 and Eq. 11).

The reductions take one grade after another, so that the largest array is [B,N] and the program is as long for a hundred
grades as for ten. Autodiff would keep an array for each grade, so the gradients are written out.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gr2_jax.losses.checks import check_num_grades, check_scale
from gr2_jax.losses.reduction import Reduction, reduce_masked

_WRITTEN_OUT = 8
"""Grades in one turn of a loop. No more than these, as in nearly all judgements, need no loop, and XLA fuses them."""


def scan_grades(function: Callable, start, *of_grades: Array, num_grades: int):
    """`jax.lax.scan` of `function(carry, (l, *entries))` over the grades l = 1..L, with entry l - 1 of `of_grades`."""
    levels = jnp.arange(1, num_grades + 1)
    return jax.lax.scan(function, start, (levels, *of_grades), unroll=min(num_grades, _WRITTEN_OUT))


def counts_of_grades(grades: Int[Array, "B N"], num_grades: int) -> Int[Array, "B L"]:
    """How many entries have grade l, at l - 1."""
    return _of_each(lambda l: jnp.sum(grades == l, axis=-1), num_grades)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def sums_of_grades(values: Float[Array, "B N"], grades: Int[Array, "B N"], num_grades: int) -> Float[Array, "B L"]:
    """The sum of the values of each grade, at l - 1."""
    return _of_each(lambda l: jnp.sum(jnp.where(grades == l, values, 0.0), axis=-1), num_grades)


@jax.custom_vjp
def at_own_grade(values: Float[Array, "B L"], grades: Int[Array, "B N"]) -> Float[Array, "B N"]:
    """The value of each entry's grade; 0 for entries without one. Not a gather: the order in which a GPU adds up a
    gather's gradient is not fixed."""

    def put(own: Float[Array, "B N"], grade: tuple[Int[Array, ""], Float[Array, "B"]]):
        l, value = grade
        return jnp.where(grades == l, value[:, None], own), None

    return scan_grades(put, jnp.zeros(grades.shape, values.dtype), values.T, num_grades=values.shape[-1])[0]


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def largest_of_grades(values: Float[Array, "B N"], grades: Int[Array, "B N"], num_grades: int) -> Float[Array, "B L"]:
    """The largest value of each grade, at l - 1; -inf where there is none. Equal values share the gradient."""
    return _of_each(lambda l: jnp.max(jnp.where(grades == l, values, -jnp.inf), axis=-1), num_grades)


def _of_each(reduced: Callable[[Int[Array, ""]], Array], num_grades: int) -> Array:
    if num_grades <= _WRITTEN_OUT:
        return jnp.stack([reduced(l) for l in range(1, num_grades + 1)], axis=-1)
    return scan_grades(lambda _, grade: (None, reduced(*grade)), None, num_grades=num_grades)[1].T


def _largest_forward(values, grades, num_grades):
    largest = largest_of_grades(values, grades, num_grades)
    return largest, (values, grades, largest)


def _largest_backward(num_grades, kept, slopes):
    values, grades, largest = kept
    reached = (grades > 0) & (values == at_own_grade(largest, grades))
    ties = counts_of_grades(jnp.where(reached, grades, 0), num_grades)
    return jnp.where(reached, at_own_grade(slopes / jnp.maximum(ties, 1), grades), 0.0), None


sums_of_grades.defvjp(
    lambda values, grades, num_grades: (sums_of_grades(values, grades, num_grades), grades),
    lambda num_grades, grades, slopes: (at_own_grade(slopes, grades), None),
)
at_own_grade.defvjp(
    lambda values, grades: (at_own_grade(values, grades), (values[:1], grades)),
    lambda kept, slopes: (sums_of_grades(slopes, kept[1], kept[0].shape[-1]), None),
)
largest_of_grades.defvjp(_largest_forward, _largest_backward)


def means_and_counts(
    values: Float[Array, "B N"], grades: Int[Array, "B N"], num_grades: int
) -> tuple[Float[Array, "B L"], Int[Array, "B L"]]:
    """Mean of the values of each grade 1..L (0 where a query has none of it), and how many there are.

    Raises UserError where num_grades is below 1.
    """
    check_num_grades(num_grades)
    counts = counts_of_grades(grades, num_grades)
    return sums_of_grades(values, grades, num_grades) / jnp.maximum(counts, 1), counts


def over_grades(
    means: Float[Array, "B L"],
    counts: Int[Array, "B L"],
    grade_weights: Float[Array, "B L"] | Float[Array, "L"] | float,
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
    Raises UserError for such a grade where the grades are known.
    """
    check_scale(grades, num_grades)
    means, counts = means_and_counts(losses, grades, num_grades)
    per_query = over_grades(means, counts, 1.0)
    per_query = jnp.where(jnp.any(grades > num_grades, axis=-1), jnp.nan, per_query)
    return reduce_masked(per_query, jnp.any(grades > 0, axis=-1), reduction)
