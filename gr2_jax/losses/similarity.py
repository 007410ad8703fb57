"""Similarity of every row of one array with every row of another, and the log-softmax over it."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gr2_jax.losses.checks import check_choice

Similarity = Literal["cosine", "dot"]

_SMALLEST_SQUARED_NORM = 1e-24


def similarity_matrix(
    left: Float[Array, "A D"], right: Float[Array, "C D"], similarity: Similarity
) -> Float[Array, "A C"]:
    """Dot product or cosine of each row of `left` with each row of `right`, in float32.

    The cosine with a vector of length 1e-12 or less is 0, and so is its gradient. Raises UserError for an unknown
    similarity.
    """
    check_choice("similarity", similarity, ("cosine", "dot"))
    left, right = left.astype(jnp.float32), right.astype(jnp.float32)
    if similarity == "cosine":
        left, right = _unit(left), _unit(right)
    # By default accelerators round the factors; a small temperature would multiply that error.
    return jnp.einsum("ad,cd->ac", left, right, precision=jax.lax.Precision.HIGHEST)


def masked_log_softmax(logits: Float[Array, "*A C"], mask: Bool[Array, "*#A C"] | None) -> Float[Array, "*A C"]:
    """Log-softmax over the last axis without the entries where `mask` is False (their own value means nothing).

    A finite fill, not -inf, keeps a row without any entry, and its gradient, finite.
    """
    if mask is not None:
        logits = jnp.where(mask, logits, jnp.finfo(logits.dtype).min)
    return jax.nn.log_softmax(logits, axis=-1)


def scaled_similarities(
    query_embeddings: Float[Array, "B D"],
    docid_embeddings: Float[Array, "N D"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    similarity: Similarity = "cosine",
) -> Float[Array, "B N"]:
    """sim(f_q, f_id) / τ of Eq. 4, in float32. Raises UserError for an unknown similarity."""
    return similarity_matrix(query_embeddings, docid_embeddings, similarity) / temperature


def _unit(vectors: Float[Array, "A D"]) -> Float[Array, "A D"]:
    squared = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
    usable = squared > _SMALLEST_SQUARED_NORM
    # The inner `where` keeps sqrt away from 0, whose infinite slope would reach the gradient as 0 * inf.
    return jnp.where(usable, vectors / jnp.sqrt(jnp.where(usable, squared, 1.0)), 0.0)
