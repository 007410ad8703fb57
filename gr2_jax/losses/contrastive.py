"""Supervised contrastive loss: a query against every docid of the batch, all its positives alike."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gr2_jax.losses.checks import check_judgements
from gr2_jax.losses.reduction import Reduction, reduce_masked
from gr2_jax.losses.similarity import Similarity, masked_log_softmax, scaled_similarities


def supervised_contrastive_loss(
    query_embeddings: Float[Array, "B D"],
    docid_embeddings: Float[Array, "N D"],
    positives: Bool[Array, "B N"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    similarity: Similarity = "cosine",
    docid_mask: Bool[Array, "N"] | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, ""]:
    """Mean of -l_pair (Eq. 4) over each query's positives, then the mean or sum over queries that have one.

    l_pair(q,id) = log [ exp(sim(f_q,f_id)/τ) / Σ_a exp(sim(f_q,f_a)/τ) ], a over all docids of the batch. This is what
    `mgcc_loss` is on binary judgements (num_grades=1), for any constraint. Options as there. 0 where no query has a
    positive.

    Raises UserError for an unknown option or arrays whose shapes do not fit together.
    """
    logits = scaled_similarities(query_embeddings, docid_embeddings, temperature=temperature, similarity=similarity)
    check_judgements(logits, positives, docid_mask)
    pair_losses = -masked_log_softmax(logits, docid_mask)
    if docid_mask is not None:
        positives = positives & docid_mask
    counts = jnp.sum(positives, axis=-1)
    per_query = jnp.sum(jnp.where(positives, pair_losses, 0.0), axis=-1) / jnp.maximum(counts, 1)
    return reduce_masked(per_query, counts > 0, reduction)
