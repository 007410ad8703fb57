"""Supervised contrastive loss: each query against every docid of the batch, all positives weighted alike."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gr2_jax.losses.checks import check_array
from gr2_jax.losses.mgcc import mgcc_loss
from gr2_jax.losses.reduction import Reduction
from gr2_jax.losses.similarity import Similarity


def supervised_contrastive_loss(
    query_embeddings: Float[Array, "B D"],
    docid_embeddings: Float[Array, "N D"],
    positives: Bool[Array, "B N"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    similarity: Similarity = "cosine",
    docid_mask: Bool[Array, "N"] | None = None,
    max_positives: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, ""]:
    """Mean of -l_pair (Eq. 4) over each query's positives, then the mean or sum over queries that have one.

    l_pair(q,id) = log [ exp(sim(f_q,f_id)/τ) / Σ_a exp(sim(f_q,f_a)/τ) ], a over all docids of the batch. It equals
    `mgcc_loss` on binary judgements (num_grades=1) with any constraint, and takes the same options. The loss is 0 where
    no query has a positive.

    Raises UserError for an unknown option or arrays whose shapes do not fit together.
    """
    check_array("positives", positives)
    return mgcc_loss(
        query_embeddings,
        docid_embeddings,
        positives.astype(jnp.int32),
        num_grades=1,
        constraint="off",
        temperature=temperature,
        similarity=similarity,
        docid_mask=docid_mask,
        max_positives=max_positives,
        reduction=reduction,
    )
