"""Query generation and an autoencoder that share one decoder (the paper's 4.1, after SpaceFusion).

How a latent enters the decoder: T5 has no initial state to set, so z is the decoder's whole cross-attention memory, one
position long. Every layer and every step sees it, nothing else carries information about the document, and a
pre-trained decoder's weights keep their meaning: it attends to an encoder output that happens to have one token.

Scale: Eq. 1 and 2 use plain dot products, which training could grow without bound. Representations are therefore kept
on the sphere of radius `sqrt(d_model)`, the size that T5's encoder norm gives its states; |r| is measured against it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from gr2_jax.models.config import T5Config
from gr2_jax.models.heads import AttentionPooling
from gr2_jax.models.t5 import PAD_ID, Decoder, Encoder, Memory, shift_right


class FusionOutputs(NamedTuple):
    generation_logits: Float[Array, "B T V"]
    reconstruction_logits: Float[Array, "B T V"]
    document_reps: Float[Array, "B D"]
    query_reps: Float[Array, "B D"]


class Fusion(nn.Module):
    """Two encoders (documents; queries), one decoder, one tied embedding."""

    config: T5Config

    def setup(self):
        cfg = self.config
        self.embedding = nn.Embed(
            cfg.vocab_size,
            cfg.d_model,
            embedding_init=nn.initializers.normal(1.0),
            dtype=cfg.dtype,
            param_dtype=jnp.float32,
        )
        self.document_encoder, self.query_encoder = Encoder(cfg), Encoder(cfg)
        self.document_pooling, self.query_pooling = AttentionPooling(), AttentionPooling()
        self.decoder = Decoder(cfg)

    def __call__(
        self, document_tokens: Int[Array, "B S"], query_tokens: Int[Array, "B T"], deterministic: bool = True
    ) -> FusionOutputs:
        """Row i's document generates row i's query (QG), and the query reconstructs itself (AE)."""
        document_reps = self.encode_documents(document_tokens, deterministic)
        query_reps = self.encode_queries(query_tokens, deterministic)
        inputs = shift_right(query_tokens)
        return FusionOutputs(
            self.decode(inputs, document_reps, deterministic),
            self.decode(inputs, query_reps, deterministic),
            document_reps,
            query_reps,
        )

    def encode_documents(self, tokens: Int[Array, "B S"], deterministic: bool = True) -> Float[Array, "B D"]:
        return self._represent(self.document_encoder, self.document_pooling, tokens, deterministic)

    def encode_queries(self, tokens: Int[Array, "B S"], deterministic: bool = True) -> Float[Array, "B D"]:
        return self._represent(self.query_encoder, self.query_pooling, tokens, deterministic)

    def _represent(self, encoder, pooling, tokens, deterministic):
        mask = tokens != PAD_ID
        pooled = pooling(encoder(self.embedding(tokens), mask, deterministic), mask)
        radius = self.config.d_model**0.5
        return radius * pooled / jnp.maximum(jnp.linalg.norm(pooled, axis=-1, keepdims=True), 1e-6)

    def memory(self, latents: Float[Array, "B D"]) -> Memory:
        return self.decoder.memory(latents[:, None], jnp.ones((latents.shape[0], 1), bool))

    def decode(self, tokens: Int[Array, "B T"], latents: Float[Array, "B D"], deterministic: bool = True):
        states = self.decoder(self.embedding(tokens)[:, None], self.memory(latents), deterministic)
        return self._logits(states[:, 0])

    def step(self, tokens: Int[Array, "B M"], position, cache, memory: Memory):
        """One beam-search step: (logits [B, M, V], cache)."""
        states, cache = self.decoder.step(self.embedding(tokens), position, cache, memory)
        return self._logits(states), cache

    def _logits(self, states: Float[Array, "... D"]) -> Float[Array, "... V"]:
        return self.embedding.attend(states * self.config.d_model**-0.5).astype(jnp.float32)


def sphere_noise(rng: Array, count: int, features: int, radius: float) -> Float[Array, "N D"]:
    """r of z = e_d + r: directions uniform on the sphere of the given radius."""
    normal = jax.random.normal(rng, (count, features))
    return radius * normal / jnp.linalg.norm(normal, axis=-1, keepdims=True)
