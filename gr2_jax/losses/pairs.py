"""The pair losses of Eq. 4: each query against each of its relevant docids, among the docids of the batch.

A query has few relevant docids and the batch has many docids. The relevant ones are therefore separated first: the rest
matters only through one log-sum-exp per query, and all that follows works on [B,P], at most P positives per query.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.losses.checks import check_choice, check_positives, check_scale
from gr2_jax.losses.per_grade import at_own_grade, largest_of_grades, sums_of_grades

Denominator = Literal["batch", "negatives", "lower"]

NOTHING = jnp.finfo(jnp.float32).min  # a finite log(0): a row without any entry, and its gradient, stay finite


class Positives(NamedTuple):
    """The relevant docids of each query, and the rest of its row of scores."""

    scores: Float[Array, "B P"]
    """sim / τ of each; undefined where the grade is 0."""
    grades: Int[Array, "B P"]
    """Their grades, 0 = padding."""
    rest: Float[Array, "B"]
    """log Σ exp(score) over the docids that are not relevant."""
    valid: Bool[Array, "B"]
    """False where a query has a grade above the scale or more positives than were kept: its loss is NaN."""


def tell_apart(
    scores: Float[Array, "B N"],
    grades: Int[Array, "B N"],
    *,
    num_grades: int,
    docid_mask: Bool[Array, "N"] | None,
    max_positives: int | None,
) -> Positives:
    """The positives from a matrix of grades; P is `max_positives`, or all N columns where that is None.

    Raises UserError as `check_scale` and `check_positives` do.
    """
    check_scale(grades, num_grades, docid_mask)
    check_positives(grades, max_positives, docid_mask)
    scores = scores.astype(jnp.float32)
    if docid_mask is not None:
        scores, grades = jnp.where(docid_mask, scores, NOTHING), jnp.where(docid_mask, grades, 0)
    if max_positives is None or max_positives >= scores.shape[-1]:
        rest = jax.nn.logsumexp(jnp.where(grades > 0, NOTHING, scores), axis=-1)
        return Positives(scores, jnp.maximum(grades, 0), rest, jnp.max(grades, axis=-1) <= num_grades)
    # On CPU, top_k has a fast kernel for floats but not for integers; the barriers keep it recognisable to XLA.
    found = jax.lax.top_k(grades.astype(jnp.float32), max_positives + 1)
    kept, columns = (jax.lax.optimization_barrier(x) for x in found)
    one_more = kept[:, max_positives] > 0
    kept, columns = kept[:, :max_positives].astype(jnp.int32), columns[:, :max_positives]
    chosen, rest = split(scores, jnp.where(kept > 0, columns, scores.shape[-1]))
    return Positives(chosen, jnp.maximum(kept, 0), rest, (jnp.max(kept, axis=-1) <= num_grades) & ~one_more)


def pair_losses(positives: Positives, *, num_grades: int, denominator: Denominator) -> Float[Array, "B P"]:
    """-l_pair >= 0 of Eq. 4, for entries with a grade; `denominator` selects what Σ_a runs over, see `mgcc_loss`.

    Raises UserError for an unknown denominator.
    """
    check_choice("denominator", denominator, ("batch", "negatives", "lower"))
    scores, grades, rest, _ = positives
    rest = rest[:, None]

    if denominator == "batch":
        relevant = jax.nn.logsumexp(jnp.where(grades > 0, scores, NOTHING), axis=-1, keepdims=True)
        everything = jnp.logaddexp(rest, relevant)
    elif denominator == "negatives":
        everything = jnp.logaddexp(rest, scores)
    else:
        below = jnp.concatenate([rest, _log_sums(scores, grades, num_grades)[:, :-1]], axis=1)
        everything = jnp.logaddexp(at_own_grade(jax.lax.cumlogsumexp(below, axis=1), grades), scores)
    return jnp.where(grades > 0, everything - scores, 0.0)


def _log_sums(scores: Float[Array, "B P"], grades: Int[Array, "B P"], num_grades: int) -> Float[Array, "B L"]:
    """log Σ exp(score) of each grade."""
    largest = jnp.maximum(jax.lax.stop_gradient(largest_of_grades(scores, grades, num_grades)), NOTHING)
    shares = jnp.exp(jnp.where(grades > 0, scores - at_own_grade(largest, grades), 0.0))
    sums = sums_of_grades(shares, grades, num_grades)
    return jnp.where(sums > 0, jnp.log(jnp.where(sums > 0, sums, 1.0)) + largest, NOTHING)


@jax.custom_vjp
def split(scores: Float[Array, "B N"], columns: Int[Array, "B P"]) -> tuple[Float[Array, "B P"], Float[Array, "B"]]:
    """The scores at the columns (column N: none, value unspecified), and the log-sum-exp of all other scores."""
    return _split_forward(scores, columns)[0]


def _split_forward(scores, columns):
    chosen = jnp.take_along_axis(scores, jnp.minimum(columns, scores.shape[-1] - 1), axis=-1)
    others = put(scores, columns, jnp.full_like(chosen, NOTHING))
    largest = jnp.max(others, axis=-1, keepdims=True)
    shares = jnp.exp(others - largest)
    total = jnp.sum(shares, axis=-1, keepdims=True)
    return (chosen, (jnp.log(total) + largest)[:, 0]), (shares, total, columns)


def _split_backward(kept, slopes):
    """Updates one kept array of the scores' size in place; autodiff's scatter would add another."""
    shares, total, columns = kept
    of_chosen, of_rest = slopes
    return put(shares * (of_rest[:, None] / total), columns, of_chosen), None


split.defvjp(_split_forward, _split_backward)


@jax.vmap  # row by row, so that rows on several devices stay there
def put(row: Float[Array, "N"], columns: Int[Array, "P"], values: Float[Array, "P"]) -> Float[Array, "N"]:
    return row.at[columns].set(values, mode="drop")
