"""LambdaRank: the ablation "LR" of MGCC, in which grades enter through nDCG."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.losses.any_mesh import on_any_mesh
from gr2_jax.losses.checks import check_choice, check_judgements, check_positives
from gr2_jax.losses.grades import exponential_gains
from gr2_jax.losses.reduction import Reduction, reduce_masked

Gain = Literal["exponential", "linear"]


@on_any_mesh()
def lambdarank_loss(
    scores: Float[Array, "B N"],
    grades: Int[Array, "B N"],
    *,
    docid_mask: Bool[Array, "N"] | None = None,
    gain: Gain = "exponential",
    max_positives: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, ""]:
    """Per query Σ over pairs with grade_i > grade_j of |ΔnDCG_ij| · log(1 + exp(score_j - score_i)).

    |ΔnDCG_ij| is the change of nDCG over the whole list if the two docids swapped places (Burges et al., 2006; the form
    with a logarithm: Wang et al., "The LambdaLoss Framework", 2018). Ranks come from the scores, best first; ties keep
    their order. No gradient flows through the ranks.

    Args:
      scores: any score, higher = better, for example `scaled_similarities` of embeddings.
      grades: 0 and below = not relevant.
      docid_mask: False excludes a docid.
      gain: "exponential": 2^grade - 1; "linear": the grade.
      max_positives: the most relevant docids that a query can have, N where None; the fewer, the faster. The loss is
        NaN where a query has more.
      reduction: mean or sum over queries that have a positive.

    Raises UserError for an unknown option, a `max_positives` below 1, arrays whose shapes do not fit together and,
    outside of `jit`, a query with more than `max_positives` relevant docids.
    """
    check_choice("gain", gain, ("exponential", "linear"))
    check_judgements(scores, grades, docid_mask)
    check_positives(grades, max_positives, docid_mask)
    scores = scores.astype(jnp.float32)
    mask = jnp.ones(scores.shape, bool) if docid_mask is None else jnp.broadcast_to(docid_mask, scores.shape)
    grades = jnp.where(mask, jnp.maximum(grades, 0), 0)
    gains = exponential_gains(grades) if gain == "exponential" else grades.astype(jnp.float32)
    places = jnp.log2(jnp.arange(2, scores.shape[-1] + 2, dtype=jnp.float32))
    ideal = jnp.sum(-jnp.sort(-gains) / places, axis=-1, keepdims=True)
    gains /= jnp.where(ideal > 0, ideal, 1.0)
    order = jnp.argsort(jax.lax.stop_gradient(jnp.where(mask, -scores, jnp.inf)), axis=-1, stable=True)
    discounts = 1.0 / places[jnp.argsort(order, axis=-1)]

    most = min(max_positives or scores.shape[-1], scores.shape[-1])
    columns = jax.lax.top_k(gains, most)[1]
    better = [jnp.take_along_axis(x, columns, axis=-1).T for x in (scores, gains, discounts)]

    @jax.checkpoint
    def add_pairs_of(total: Float[Array, "B"], docid) -> tuple[Float[Array, "B"], None]:
        score, gain, discount = (x[:, None] for x in docid)
        change = (gain - gains) * jnp.abs(discount - discounts)
        losses = jnp.where((gain > gains) & mask, change * jax.nn.softplus(scores - score), 0.0)
        return total + jnp.sum(losses, axis=-1), None

    # one relevant docid at a time against all others: memory is [B,N], not [B,N,N]
    per_query, _ = jax.lax.scan(add_pairs_of, jnp.zeros_like(scores[:, 0]), tuple(better))
    positives = jnp.sum(grades > 0, axis=-1)
    per_query = jnp.where(positives > most, jnp.nan, per_query)
    return reduce_masked(per_query, positives > 0, reduction)
