"""Grade-weighted cross-entropy over the docids of the batch: the ablation "CE" of MGCC."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.losses.any_mesh import on_any_mesh
from gr2_jax.losses.checks import check_judgements
from gr2_jax.losses.reduction import Reduction, reduce_masked
from gr2_jax.losses.similarity import masked_log_softmax


@on_any_mesh()
def graded_cross_entropy_loss(
    scores: Float[Array, "B N"],
    grades: Int[Array, "B N"],
    *,
    docid_mask: Bool[Array, "N"] | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, ""]:
    """Per query Σ_n grade_n / (Σ_m grade_m) · -log softmax(scores)_n: one softmax, whose labels are the grades.

    Args:
      scores: any score, higher = better, for example `scaled_similarities` of embeddings.
      grades: 0 and below = not relevant.
      docid_mask: False excludes a docid, as a label and from the softmax.
      reduction: mean or sum over queries that have a positive.

    Raises UserError for an unknown reduction or arrays whose shapes do not fit together.
    """
    check_judgements(scores, grades, docid_mask)
    log_shares = masked_log_softmax(scores.astype(jnp.float32), docid_mask)
    labels = jnp.maximum(grades, 0).astype(jnp.float32)
    if docid_mask is not None:
        labels = jnp.where(docid_mask, labels, 0.0)
    total = jnp.sum(labels, axis=-1)
    per_query = -jnp.sum(jnp.where(labels > 0, labels * log_shares, 0.0), axis=-1) / jnp.maximum(total, 1.0)
    return reduce_masked(per_query, total > 0, reduction)
