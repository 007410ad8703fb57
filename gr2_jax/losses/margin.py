"""The pairwise margin of learning to rank in generative retrieval (LTRGR)."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.losses.any_mesh import on_any_mesh
from gr2_jax.losses.checks import check_array, check_shape
from gr2_jax.losses.reduction import Reduction, reduce_masked


@on_any_mesh()
def margin_loss(
    scores: Float[Array, "B N"],
    grades: Int[Array, "B N"],
    *,
    mask: Bool[Array, "B N"] | None = None,
    margin: float = 1.0,
    reduction: Reduction = "mean",
) -> Float[Array, ""]:
    """Per query the mean over pairs with grade_i > grade_j of max(0, margin - score_i + score_j).

    Li et al., "Learning to Rank in Generative Retrieval" (AAAI 2024), has this loss for a relevant and an irrelevant
    passage of a query; here every pair of different grades counts.

    Args:
      scores: of each query's own list, higher = better, for example log P(id|q).
      grades: 0 and below = not relevant.
      mask: False = padding.
      margin: by how much the better docid is to score more.
      reduction: mean or sum over queries that have such a pair.

    Raises UserError for an unknown reduction or arrays whose shapes do not fit together.
    """
    check_array("scores", scores)
    check_shape("grades", grades, scores.shape)
    mask = jnp.ones(scores.shape, bool) if mask is None else mask
    check_shape("mask", mask, scores.shape)
    scores, grades = jnp.where(mask, scores.astype(jnp.float32), 0.0), jnp.maximum(grades, 0)
    better = (grades[:, :, None] > grades[:, None, :]) & mask[:, :, None] & mask[:, None, :]
    losses = jnp.maximum(0.0, margin - scores[:, :, None] + scores[:, None, :])
    pairs = jnp.sum(better, axis=(1, 2))
    per_query = jnp.sum(jnp.where(better, losses, 0.0), axis=(1, 2)) / jnp.maximum(pairs, 1)
    return reduce_masked(per_query, pairs > 0, reduction)
