"""Likelihoods of given docids, all their tokens in one pass of the decoder."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def log_likelihoods(
    logits: Float[Array, "*B n T C"], docids: Int[Array, "*#B n T"], columns: Int[Array, "V"] | None
) -> Float[Array, "*B n"]:
    """Sum over t of log P(w_t | q, w_<t) for docids with their ends, 0-padded, from the model's logits at each token.
    `columns` as in `constrained_beam_search`."""
    return jnp.sum(token_log_likelihoods(logits, docids, columns), axis=-1)


def token_log_likelihoods(
    logits: Float[Array, "*B n T C"], docids: Int[Array, "*#B n T"], columns: Int[Array, "V"] | None
) -> Float[Array, "*B n T"]:
    """log P(w_t | q, w_<t) of every token; 0 at padding. The log-softmax is float32 over all the model's columns."""
    logits = logits.astype(jnp.float32)
    to = docids if columns is None else columns[docids]
    chosen = jnp.take_along_axis(logits, jnp.broadcast_to(to, logits.shape[:-1])[..., None], axis=-1)[..., 0]
    log_probs = chosen - jax.nn.logsumexp(logits, axis=-1)
    return jnp.where(docids > 0, log_probs, 0.0)
