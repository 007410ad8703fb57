"""Self-negative fine-tuning: a query's docids against irrelevant docids that the model itself ranked high."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.losses.any_mesh import on_any_mesh
from gr2_jax.losses.checks import check_array, check_shape
from gr2_jax.losses.per_grade import graded_loss
from gr2_jax.losses.reduction import Reduction


@on_any_mesh()
def self_negative_loss(
    positive_nll: Float[Array, "B K"],
    grades: Int[Array, "B K"],
    negative_nll: Float[Array, "B H"],
    negative_mask: Bool[Array, "B H"],
    *,
    num_grades: int,
    negative_weights: Float[Array, "B H"] | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, ""]:
    """-log( P(id⁺|q) / (P(id⁺|q) + Σ_h w_h P(id_h|q)) ) for each relevant docid id⁺ of a query, id_h its negatives.

    Averaged within each grade, then over the grades that the query has, as Eq. 11; P = exp(-nll). A docid that is far
    more likely than every negative adds almost nothing; Eq. 11 trains its absolute likelihood.

    The paper (and RIPOR, which it follows) says only that the model's highly ranked wrong docids become negatives. This
    form, a choice between sequences by the likelihood that retrieval ranks them by, is our reading. In the retrieval
    objective the same docids ALSO enter MGCC's denominator, as docids of grade 0 (a document that the batch holds more
    than once counts once there, see `grade_matrix`).

    Args:
      positive_nll: -log P(id|q), not smoothed, of each query's own docids.
      grades: their grades, 0 = padding, at most num_grades (a query with a higher one makes the loss NaN).
      negative_nll: -log P(id_h|q), not smoothed, of each query's negatives, decoded against the same query.
      negative_mask: False = padding. A query without negatives adds 0, and counts.
      num_grades: L, the best grade of the scale.
      negative_weights: w_h, at least 0, for example less for a document that nobody judged; None: 1.
      reduction: "mean" over queries that have a positive, or "sum".

    Raises:
      UserError: an unknown reduction, or arrays whose shapes do not fit together.
    """
    check_array("positive_nll", positive_nll)
    check_array("negative_nll", negative_nll)
    check_shape("grades", grades, positive_nll.shape)
    check_shape("negative_mask", negative_mask, negative_nll.shape)
    check_shape("negative_nll", negative_nll, (positive_nll.shape[0], *negative_nll.shape[1:]))
    positive = jnp.where(grades > 0, positive_nll.astype(jnp.float32), 0.0)[..., None]
    negative = jnp.where(negative_mask, negative_nll.astype(jnp.float32), 0.0)[:, None]
    # log(1 + Σ_h exp(nll⁺ - nll_h)): the 1 keeps a query without negatives from log 0
    ratios = jnp.where(negative_mask[:, None], positive - negative, -jnp.inf)
    if negative_weights is not None:
        check_shape("negative_weights", negative_weights, negative_nll.shape)
        counts = negative_weights > 0
        ratios += jnp.where(counts, jnp.log(jnp.where(counts, negative_weights, 1.0)), -jnp.inf)[:, None]
    losses = jax.nn.logsumexp(jnp.pad(ratios, [(0, 0), (0, 0), (0, 1)]), axis=-1)
    return graded_loss(losses, grades, num_grades=num_grades, reduction=reduction)
