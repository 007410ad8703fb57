"""Query generation and an autoencoder that share one decoder (the paper's 4.1, after SpaceFusion).

How a latent enters the decoder: the paper makes z the decoder's initial state, which T5 does not have. `latent` selects
a substitute without new parameters, so that a pre-trained decoder's weights keep their meaning:

"memory"   z is the decoder's whole cross-attention memory, one position long (default): every layer and every step
           reads it, and a pre-trained decoder reads it like the encoder output of a one-token text. The softmax over
           one position is 1, so cross-attention's query and key weights learn nothing.
"start"    z replaces the embedding of the start token, the closest thing to an initial state: later steps reach it
           through self-attention only.
"inputs"   z is added to the embedding of every input token, start included.
"tokens"   z is the first position of the memory, and the encoder's states of the document's tokens are the others, so
           that generation sees as much of a document as a plain generator does. A query is reconstructed from z alone.

With "start" and "inputs" the memory is one zero vector, which cross-attention, having no biases, maps to zero.
Measured on docid quality in tests/benchmarks/RESULTS.md.

Scale: Eq. 1 and 2 use plain dot products, which training could grow without bound. Representations are therefore kept
on the sphere of radius `sqrt(d_model)`, the size that T5's encoder norm gives its states; compare |r| with it.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.models.config import T5Config
from gr2_jax.models.heads import AttentionPooling
from gr2_jax.models.layers import Embedding, output_logits
from gr2_jax.models.t5 import PAD_ID, Decoder, Encoder, Memory, shift_right

Latent = Literal["memory", "start", "inputs", "tokens"]


class FusionOutputs(NamedTuple):
    generation_logits: Float[Array, "B T V"]
    reconstruction_logits: Float[Array, "B T V"]
    document_reps: Float[Array, "B D"]
    query_reps: Float[Array, "B D"]


class TokenStates(NamedTuple):
    """The encoder's states of a text's tokens, and which of them are no padding."""

    states: Float[Array, "B S D"]
    mask: Bool[Array, "B S"]


class ReadDocument(NamedTuple):
    """A document's representation and, where the decoder is to see them, its tokens."""

    reps: Float[Array, "B D"]
    tokens: TokenStates | None


class FusionMemory(NamedTuple):
    """A latent in the form that decoding steps need."""

    cross: Memory
    latents: Float[Array, "B D"]


class Fusion(nn.Module):
    """Two encoders (documents; queries), one decoder, one tied embedding."""

    config: T5Config
    latent: Latent = "memory"

    def setup(self):
        cfg = self.config
        self.embedding = Embedding(cfg)
        self.document_encoder, self.query_encoder = Encoder(cfg), Encoder(cfg)
        self.document_pooling, self.query_pooling = AttentionPooling(), AttentionPooling()
        self.decoder = Decoder(cfg)

    def __call__(
        self,
        document_tokens: Int[Array, "B S"],
        query_tokens: Int[Array, "B T"],
        deterministic: bool = True,
        noise: float = 0.0,
    ) -> FusionOutputs:
        """Row i's document generates row i's query (QG), and the query reconstructs itself (AE).

        With `noise`, both are decoded from points at this distance, a share of the representations' length, in random
        directions (the rng "noise"); the representations returned are without.
        """
        document = self.read_documents(document_tokens, deterministic)
        query_reps = self.encode_queries(query_tokens, deterministic)
        inputs = shift_right(query_tokens)
        return FusionOutputs(
            self.decode(inputs, self._moved(document.reps, noise), deterministic, document.tokens),
            self.decode(inputs, self._moved(query_reps, noise), deterministic),
            document.reps,
            query_reps,
        )

    def _moved(self, reps: Float[Array, "B D"], noise: float) -> Float[Array, "B D"]:
        if not noise:
            return reps
        return reps + sphere_noise(self.make_rng("noise"), *reps.shape, noise * self.config.d_model**0.5)

    def read_documents(self, tokens: Int[Array, "B S"], deterministic: bool = True) -> ReadDocument:
        reps, read = self._represent(self.document_encoder, self.document_pooling, tokens, deterministic)
        return ReadDocument(reps, read if self.latent == "tokens" else None)

    def encode_queries(self, tokens: Int[Array, "B S"], deterministic: bool = True) -> Float[Array, "B D"]:
        return self._represent(self.query_encoder, self.query_pooling, tokens, deterministic)[0]

    def _represent(self, encoder, pooling, tokens, deterministic) -> tuple[Float[Array, "B D"], TokenStates]:
        read = TokenStates(encoder(self.embedding(tokens), tokens != PAD_ID, deterministic), tokens != PAD_ID)
        pooled = pooling(*read)
        radius = self.config.d_model**0.5
        return radius * pooled / jnp.maximum(jnp.linalg.norm(pooled, axis=-1, keepdims=True), 1e-6), read

    def decode(
        self,
        tokens: Int[Array, "B T"],
        latents: Float[Array, "B D"],
        deterministic: bool = True,
        read: TokenStates | None = None,
    ):
        """Logits [B, T, V] of teacher forcing for decoder inputs `tokens`; `read` of documents, see `ReadDocument`."""
        embedded = self._embed(tokens, jnp.arange(tokens.shape[1]) == 0, latents)
        states = self.decoder(embedded[:, None], *self._cross_states(latents, read), deterministic)
        return self._logits(states[:, 0])

    def memory(self, latents: Float[Array, "B D"], read: TokenStates | None = None) -> FusionMemory:
        return FusionMemory(self.decoder.memory(*self._cross_states(latents, read)), latents)

    def step(self, tokens: Int[Array, "B M"], position: Int[Array, ""], cache: Any, memory: FusionMemory):
        """One beam-search step: (logits [B, M, V], cache)."""
        embedded = self._embed(tokens, position == 0, memory.latents)
        states, cache = self.decoder.step(embedded[:, :, None], position, cache, memory.cross)
        return self._logits(states[:, :, 0]), cache

    def _embed(self, tokens: Int[Array, "B T"], is_start, latents: Float[Array, "B D"]) -> Float[Array, "B T D"]:
        embedded, latents = self.embedding(tokens), latents[:, None].astype(self.config.dtype)
        if self.latent == "start":
            return jnp.where(jnp.atleast_1d(is_start)[:, None], latents, embedded)
        return embedded + latents if self.latent == "inputs" else embedded

    def _cross_states(self, latents: Float[Array, "B D"], read: TokenStates | None) -> TokenStates:
        """What the decoder attends to: one position, and a document's tokens behind it where it sees them."""
        states = latents[:, None] if self.latent in ("memory", "tokens") else jnp.zeros_like(latents)[:, None]
        one = TokenStates(states, jnp.ones((len(latents), 1), bool))
        if read is None:
            return one
        return TokenStates(*(jnp.concatenate(parts, axis=1) for parts in zip(one, read, strict=True)))

    def _logits(self, states: Float[Array, "... D"]) -> Float[Array, "... V"]:
        return output_logits(states * self.config.d_model**-0.5, self.embedding.table, None, self.config.dtype)


def sphere_noise(rng: Array, count: int, features: int, radius: float) -> Float[Array, "N D"]:
    """r of z = e_d + r: directions uniform on the sphere of the given radius."""
    normal = jax.random.normal(rng, (count, features))
    return radius * normal / jnp.linalg.norm(normal, axis=-1, keepdims=True)
