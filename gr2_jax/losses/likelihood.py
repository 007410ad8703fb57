"""Likelihood losses: of a sequence, of a query's graded docids (Eq. 11), and of indexing (Eq. 10)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.losses.any_mesh import on_any_mesh
from gr2_jax.losses.checks import check_array, check_shape
from gr2_jax.losses.per_grade import graded_loss
from gr2_jax.losses.reduction import Reduction, reduce_masked


@on_any_mesh(rows=0)
def label_smoothed_nll(
    logits: Float[Array, "*S T V"],
    targets: Int[Array, "*S T"],
    *,
    weights: Float[Array, "*S T"],
    label_smoothing: float = 0.0,
) -> Float[Array, "*S"]:
    """Negative log-likelihood (nats) of each sequence: Σ_t weight_t · token loss.

    The token loss is (1-ε) · -log p(target) + ε · mean over the vocabulary of -log p, as in torch's
    `CrossEntropyLoss(label_smoothing=ε)`. Tokens of weight 0 (padding) add nothing, whatever their target.

    Raises:
      UserError: targets or weights are not shaped like the logits without their last axis.
    """
    check_array("logits", logits)
    check_shape("targets", targets, logits.shape[:-1])
    check_shape("weights", weights, logits.shape[:-1])
    logits = logits.astype(jnp.float32)
    # no array of log-probabilities as large as the logits is kept for the backward pass
    log_sum, mean = jax.nn.logsumexp(logits, axis=-1), jnp.mean(logits, axis=-1)
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return nll_of_statistics(log_sum, chosen, mean, weights=weights, label_smoothing=label_smoothing)


def nll_of_statistics(
    log_sum: Float[Array, "*S T"],
    target: Float[Array, "*S T"],
    mean: Float[Array, "*S T"],
    *,
    weights: Float[Array, "*S T"],
    label_smoothing: float = 0.0,
) -> Float[Array, "*S"]:
    """`label_smoothed_nll` from the log-sum-exp of each token's logits, its target's logit, and their mean."""
    weights = weights.astype(jnp.float32)
    # Without smoothing a token masked out of the vocabulary (logit -inf) must not turn 0 * inf into NaN.
    uniform = jnp.where(label_smoothing > 0, log_sum - mean, 0.0)
    token_loss = (1.0 - label_smoothing) * (log_sum - target) + label_smoothing * uniform
    return jnp.sum(jnp.where(weights != 0, weights * token_loss, 0.0), axis=-1)


@on_any_mesh()
def query_likelihood_loss(
    sequence_nll: Float[Array, "B K"],
    grades: Int[Array, "B K"],
    *,
    num_grades: int,
    reduction: Reduction = "mean",
) -> Float[Array, ""]:
    """L_MLE^q, Eq. 11: -log P(id|q) averaged within each grade, then over the grades that the query has.

    Args:
      sequence_nll: -log P(id|q) of each query's own docids, e.g. from `label_smoothed_nll`.
      grades: their grades, 0 = padding, at most num_grades (a query with a higher one makes the loss NaN).
      num_grades: L, the best grade of the scale.
      reduction: "mean" over queries that have a positive, or "sum" (the paper's form).

    Raises:
      UserError: an unknown reduction, or grades not shaped like sequence_nll.
    """
    check_array("sequence_nll", sequence_nll)
    check_shape("grades", grades, sequence_nll.shape)
    losses = sequence_nll.astype(jnp.float32)
    return graded_loss(losses, grades, num_grades=num_grades, reduction=reduction)


@on_any_mesh()
def graded_likelihood_loss(
    sequence_nll: Float[Array, "B K"], grades: Int[Array, "B K"], *, reduction: Reduction = "mean"
) -> Float[Array, ""]:
    """Per query Σ_k grade_k / (Σ_j grade_j) · -log P(id_k|q): the query likelihood with the grades as weights.

    Eq. 11 weights every grade alike; this loss weights each docid by its grade: the ablation CE applied to the
    decoder. Grades of 0 and below are padding; mean or sum over queries that have a positive.

    Raises UserError for an unknown reduction, or grades not shaped like sequence_nll.
    """
    check_array("sequence_nll", sequence_nll)
    check_shape("grades", grades, sequence_nll.shape)
    weights = jnp.maximum(grades, 0).astype(jnp.float32)
    total = jnp.sum(weights, axis=-1)
    losses = jnp.where(weights > 0, weights * sequence_nll.astype(jnp.float32), 0.0)
    return reduce_masked(jnp.sum(losses, axis=-1) / jnp.maximum(total, 1.0), total > 0, reduction)


@on_any_mesh()
def indexing_loss(
    sequence_nll: Float[Array, "B"], mask: Bool[Array, "B"] | None = None, *, reduction: Reduction = "mean"
) -> Float[Array, ""]:
    """L_MLE^d of Eq. 10: the mean, or the paper's sum, of -log P(id|d) over the documents under `mask` (None: all).

    Raises UserError for an unknown reduction or a mask not shaped like sequence_nll.
    """
    check_array("sequence_nll", sequence_nll)
    mask = jnp.ones(sequence_nll.shape, dtype=bool) if mask is None else mask
    check_shape("mask", mask, sequence_nll.shape)
    return reduce_masked(sequence_nll.astype(jnp.float32), mask, reduction)
