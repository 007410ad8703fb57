"""Joint ranking: documents by log P(docid | q) + w sim(f_q, f_id) / tau, found on two roads, with a certificate.

The first road is the constrained beam search, which finds likely docids; the second is the list of the docids nearest
to f_q, which are then scored by the decoder in one pass. The certificate is that of the threshold algorithm (Fagin,
Lotem and Naor, JCSS 2003): a document on neither road is at most as likely as the best hypothesis that the beams
dropped and at most as similar as the last of the nearest, so its score is at most the sum of the two.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from gr2_jax.decoding.nearest import Nearest
from gr2_jax.decoding.result import SearchResult


def rank_jointly(
    by_beams: SearchResult | None,
    nearest: Nearest | None,
    *,
    log_likelihoods: Callable[[Int[Array, "B n"]], Float[Array, "B n"]],
    similarities: Callable[[Int[Array, "B M"]], Float[Array, "B M"]],
    weight: float | Float[Array, ""],
    documents: int,
    k: int,
    largest: float = jnp.inf,
    floor: float | Float[Array, ""] = -jnp.inf,
) -> SearchResult:
    """The best k of the documents on the roads that are given (at least one), by the joint score, equal ones by row.

    Args:
      by_beams: likely docids with their log-likelihoods, and the bound of those that are missing.
      nearest: similar docids; all similarities of documents that are missing are at most the last one.
      log_likelihoods: log P of given rows, for the nearest docids. Without `by_beams` a missing docid's is at most 0.
      similarities: sim(f_q, f_id) of given rows, for the docids of the beams.
      weight: w / tau, at least 0.
      documents: N, the documents of the corpus.
      k: results.
      largest: the largest value a similarity can have (1 for a cosine), the bound without `nearest`.
      floor: log of what is added to every docid's likelihood, see `smoothed`.
    """
    found, unlikely, unlike = [], 0.0, largest
    if by_beams is not None:
        own = similarities(jnp.maximum(by_beams.rows, 0))
        found.append((jnp.where(by_beams.valid, by_beams.rows, -1), by_beams.scores, own))
        unlikely = by_beams.pruned_bound
    if nearest is not None:
        rows = nearest.rows
        if by_beams is not None:
            known = (rows[:, :, None] == jnp.where(by_beams.valid, by_beams.rows, -2)[:, None, :]).any(axis=-1)
            rows = jnp.where(known, -1, rows)
        found.append((rows, log_likelihoods(jnp.maximum(rows, 0)), nearest.similarities))
        unlike = nearest.similarities[:, -1]  # -inf where the whole corpus is in the list
        if nearest.rows.shape[1] >= documents:
            unlike = -jnp.inf
    rows, likelihoods, similar = (jnp.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    scores = smoothed(likelihoods, floor) + weight * jnp.where(rows >= 0, similar, 0.0)
    scores = jnp.where(rows >= 0, scores, -jnp.inf)
    falling, rows, likelihoods, similar = lax.sort((-scores, rows, likelihoods, similar), dimension=1, num_keys=2)
    bound = jnp.broadcast_to(_sum_of_bounds(unlikely, unlike, weight, floor), scores.shape[:1])
    ranked = SearchResult(rows, -falling, falling < jnp.inf, bound, likelihoods, similar)
    return ranked.padded(k).best(k)


def smoothed(log_likelihoods: Float[Array, "*B"], floor: float | Float[Array, ""]) -> Float[Array, "*B"]:
    """log(P + e^floor): none is below `floor`, and what is far above it hardly changes."""
    return jnp.logaddexp(log_likelihoods, floor)


def _sum_of_bounds(unlikely, unlike, weight, floor) -> Float[Array, "*B"]:
    """-inf where either says that nothing is missing. With weight 0 any similarity counts nothing."""
    unlikely, unlike = jnp.asarray(unlikely, jnp.float32), jnp.asarray(unlike, jnp.float32)
    missing = (unlikely > -jnp.inf) & (unlike > -jnp.inf)
    similar = jnp.where(weight == 0, 0.0, weight * unlike)
    return jnp.where(missing, smoothed(unlikely, floor) + similar, -jnp.inf)
