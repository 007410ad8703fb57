"""A T5 whose decoder writes many docids per query against one encoding of the query.

The decoder works on [B, K, T] tokens: K sequences (docids in training, beams in search) share a query's cross-attention
memory, which is projected once and never copied. All methods are pure:
`T5(config).apply({"params": p}, ..., method=...)`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.models.config import T5Config
from gr2_jax.models.layers import Attention, FeedForward, KeyValues, RelativePositionBias, RMSNorm

PAD_ID, EOS_ID, UNK_ID = 0, 1, 2


class Memory(NamedTuple):
    """What the decoder knows of a query: every decoder layer's cross-attention keys and values, and which are real."""

    layers: tuple[KeyValues, ...]
    mask: Bool[Array, "B S"]


def shift_right(tokens: Int[Array, "... T"]) -> Int[Array, "... T"]:
    """Decoder inputs for teacher forcing: T5 starts a sequence with the padding id."""
    return jnp.pad(tokens[..., :-1], [(0, 0)] * (tokens.ndim - 1) + [(1, 0)], constant_values=PAD_ID)


class EncoderLayer(nn.Module):
    config: T5Config

    @nn.compact
    def __call__(self, x: Float[Array, "B S D"], bias: Float[Array, "1 H S S"], mask, deterministic: bool):
        drop = nn.Dropout(self.config.dropout_rate)
        attention = Attention(self.config, name="self_attention")
        normed = RMSNorm(self.config, name="self_attention_norm")(x)
        x = x + drop(attention(normed, attention.project(normed), bias, mask), deterministic)
        normed = RMSNorm(self.config, name="feed_forward_norm")(x)
        return x + drop(FeedForward(self.config, name="feed_forward")(normed, deterministic), deterministic)


class Encoder(nn.Module):
    """Embedded tokens [B, S, D] -> normed states [B, S, D]."""

    config: T5Config

    @nn.compact
    def __call__(self, embedded: Float[Array, "B S D"], mask: Bool[Array, "B S"], deterministic: bool = True):
        cfg = self.config
        drop = nn.Dropout(cfg.dropout_rate)
        x = drop(embedded, deterministic)
        if cfg.num_encoder_layers:
            positions = jnp.arange(embedded.shape[1])
            bias = RelativePositionBias(cfg, bidirectional=True, name="relative_bias")(positions, positions)
        for i in range(cfg.num_encoder_layers):
            x = EncoderLayer(cfg, name=f"layer_{i}")(x, bias, mask[:, None, None, :], deterministic)
        return drop(RMSNorm(cfg, name="final_norm")(x), deterministic)


class DecoderLayer(nn.Module):
    config: T5Config

    def setup(self):
        cfg = self.config
        self.self_attention, self.cross_attention = Attention(cfg), Attention(cfg)
        self.self_attention_norm, self.cross_attention_norm, self.feed_forward_norm = (RMSNorm(cfg) for _ in range(3))
        self.feed_forward = FeedForward(cfg)
        self.drop = nn.Dropout(cfg.dropout_rate)

    def __call__(self, x: Float[Array, "B K T D"], memory, memory_mask, bias, deterministic: bool):
        """Teacher forcing; `bias` carries the causal mask."""
        flat = x.reshape(-1, *x.shape[2:])
        normed = self.self_attention_norm(flat)
        mixed = self.self_attention(normed, self.self_attention.project(normed), bias)
        x = x + self.drop(mixed, deterministic).reshape(x.shape)
        return self._after_self_attention(x, memory, memory_mask, deterministic)

    def step(self, x: Float[Array, "B M 1 D"], memory, memory_mask, bias, cache: KeyValues, position):
        """One new token per beam; `cache` [B, M, T, H, F] receives its keys and values at `position`."""
        flat = x.reshape(-1, *x.shape[2:])
        normed = self.self_attention_norm(flat)
        new = self.self_attention.project(normed)
        cache = KeyValues(
            *(
                jax.lax.dynamic_update_slice_in_dim(old, fresh.reshape(*x.shape[:2], 1, *fresh.shape[2:]), position, 2)
                for old, fresh in zip(cache, new, strict=True)
            )
        )
        seen = KeyValues(*(c.reshape(-1, *c.shape[2:]) for c in cache))
        x = x + self.self_attention(normed, seen, bias).reshape(x.shape)
        return self._after_self_attention(x, memory, memory_mask, deterministic=True), cache

    def _after_self_attention(self, x, memory, memory_mask, deterministic):
        # all of a query's sequences stand side by side as positions: one attention, no copy of the memory
        side_by_side = x.reshape(x.shape[0], -1, x.shape[-1])
        normed = self.cross_attention_norm(side_by_side)
        mixed = self.cross_attention(normed, memory, None, memory_mask[:, None, None, :])
        x = x + self.drop(mixed, deterministic).reshape(x.shape)
        return x + self.drop(self.feed_forward(self.feed_forward_norm(x), deterministic), deterministic)


class Decoder(nn.Module):
    """Embedded tokens [B, K, T, D] and a `Memory` -> normed states [B, K, T, D]."""

    config: T5Config

    def setup(self):
        cfg = self.config
        self.relative_bias = RelativePositionBias(cfg, bidirectional=False)
        self.layers = [DecoderLayer(cfg, name=f"layer_{i}") for i in range(cfg.num_decoder_layers)]
        self.final_norm = RMSNorm(cfg)
        self.drop = nn.Dropout(cfg.dropout_rate)

    def memory(self, states: Float[Array, "B S D"], mask: Bool[Array, "B S"]) -> Memory:
        return Memory(tuple(layer.cross_attention.project(states) for layer in self.layers), mask)

    def _causal_bias(self, query_positions: Int[Array, "Q"], length: int) -> Float[Array, "1 H Q S"]:
        keys = jnp.arange(length)
        bias = self.relative_bias(query_positions, keys)
        future = keys[None, :] > query_positions[:, None]
        return jnp.where(future, jnp.finfo(jnp.float32).min, bias).astype(self.config.dtype)

    def __call__(self, embedded: Float[Array, "B K T D"], memory: Memory, deterministic: bool = True):
        length = embedded.shape[2]
        bias = self._causal_bias(jnp.arange(length), length)
        x = self.drop(embedded, deterministic)
        for layer, layer_memory in zip(self.layers, memory.layers, strict=True):
            x = layer(x, layer_memory, memory.mask, bias, deterministic)
        return self.drop(self.final_norm(x), deterministic)

    def step(self, embedded: Float[Array, "B M D"], position: Int[Array, ""], cache: tuple, memory: Memory):
        bias = self._causal_bias(position[None], cache[0].keys.shape[2])
        x, new_cache = embedded[:, :, None], []
        for layer, layer_memory, layer_cache in zip(self.layers, memory.layers, cache, strict=True):
            x, layer_cache = layer.step(x, layer_memory, memory.mask, bias, layer_cache, position)
            new_cache.append(layer_cache)
        return self.final_norm(x)[:, :, 0], tuple(new_cache)


def empty_cache(config: T5Config, batch: int, beams: int, length: int) -> tuple[KeyValues, ...]:
    """A self-attention cache per decoder layer for `beams` sequences of up to `length` tokens."""
    zeros = jnp.zeros((batch, beams, length, config.num_heads, config.d_kv), config.dtype)
    return tuple(KeyValues(zeros, zeros) for _ in range(config.num_decoder_layers))


class T5(nn.Module):
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
        self.encoder, self.decoder = Encoder(cfg), Decoder(cfg)
        if not cfg.tie_word_embeddings:
            self.output_embedding = self.param(
                "output_embedding", nn.initializers.normal(1.0), (cfg.vocab_size, cfg.d_model), jnp.float32
            )

    def __call__(
        self,
        encoder_input_tokens: Int[Array, "B S"],
        decoder_input_tokens: Int[Array, "B T"] | Int[Array, "B K T"],
        deterministic: bool = True,
    ) -> Float[Array, "B ... T V"]:
        """Logits of teacher-forced decoding; padding (id 0) in the encoder's input is masked."""
        mask = encoder_input_tokens != PAD_ID
        memory = self.memory(self.encode(encoder_input_tokens, deterministic), mask)
        return self.logits(self.decode(decoder_input_tokens, memory, deterministic))

    def encode(self, tokens: Int[Array, "B S"], deterministic: bool = True) -> Float[Array, "B S D"]:
        return self.encoder(self.embedding(tokens), tokens != PAD_ID, deterministic)

    def memory(self, states: Float[Array, "B S D"], mask: Bool[Array, "B S"]) -> Memory:
        """The cross-attention keys and values of every decoder layer: once per query."""
        return self.decoder.memory(states, mask)

    def decode(self, tokens: Int[Array, "B K T"], memory: Memory, deterministic: bool = True):
        """Decoder states before the output embedding's rescale, [B, K, T, D] (or [B, T, D] for [B, T] tokens)."""
        if tokens.ndim == 2:
            return self.decode(tokens[:, None], memory, deterministic)[:, 0]
        return self.decoder(self.embedding(tokens), memory, deterministic)

    def decode_step(self, tokens: Int[Array, "B M"], position: Int[Array, ""], cache: tuple, memory: Memory):
        """States [B, M, D] of one more token per beam, and the cache that now holds it."""
        return self.decoder.step(self.embedding(tokens), position, cache, memory)

    def logits(self, states: Float[Array, "... D"], token_ids: Int[Array, "C"] | None = None) -> Float[Array, "... C"]:
        """Float32 logits over the vocabulary, or over the rows `token_ids` of it (the tokens that docids use)."""
        cfg = self.config
        if cfg.tie_word_embeddings:
            table, states = self.embedding.embedding, states * cfg.d_model**-0.5
        else:
            table = self.output_embedding
        if token_ids is not None:
            table = jnp.asarray(table)[token_ids]
        return jnp.einsum("...d,vd->...v", states, table.astype(cfg.dtype), preferred_element_type=jnp.float32)
