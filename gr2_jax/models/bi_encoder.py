"""A dense bi-encoder: one T5 encoder, shared by queries and documents, that gives every text one vector."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from gr2_jax.models.config import T5Config
from gr2_jax.models.layers import Embedding
from gr2_jax.models.t5 import PAD_ID, Encoder

_SMALLEST_SQUARED_LENGTH = 1e-12


class BiEncoder(nn.Module):
    """f = m / |m|, m the mean of the encoder's last states over real tokens; a text without tokens gets f = 0.

    The parameters are only a T5's `embedding` and `encoder`. With 0 encoder layers m is a mean of normed
    token embeddings, a bag of words.
    """

    config: T5Config

    def setup(self):
        self.embedding, self.encoder = Embedding(self.config), Encoder(self.config)

    def __call__(self, tokens: Int[Array, "B S"], deterministic: bool = True) -> Float[Array, "B D"]:
        mask = tokens != PAD_ID
        states = self.encoder(self.embedding(tokens), mask, deterministic).astype(jnp.float32)
        weights = mask.astype(jnp.float32)
        mean = jnp.einsum("bs,bsd->bd", weights, states) / jnp.maximum(weights.sum(-1, keepdims=True), 1.0)
        squared = jnp.sum(jnp.square(mean), axis=-1, keepdims=True)
        return mean * jax.lax.rsqrt(jnp.maximum(squared, _SMALLEST_SQUARED_LENGTH))
