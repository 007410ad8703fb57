"""A T5 whose decoder generates many docids per query from one encoding of the query.

The decoder works on [B, K, T] tokens: K sequences (docids in training, beams in search) share a query's encoder states,
whose cross-attention keys and values are projected once and never copied. All methods are pure:
`T5(config).apply({"params": p}, ..., method=...)`. Training calls `encode` and `decode`; search calls `encode`, then
`memory` once, then `decode_step` per token.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.models.attention import Attention, KeyValues, RelativePositionBias, laid_out, length_of
from gr2_jax.models.axes import constrain
from gr2_jax.models.config import T5Config
from gr2_jax.models.dropout import Dropout
from gr2_jax.models.layers import Embedding, FeedForward, RMSNorm, output_logits
from gr2_jax.models.logit_statistics import LogitStatistics, pieces_of, statistics_in_pieces, statistics_of
from gr2_jax.models.stack import Method, make_layers, run_layers

PAD_ID, EOS_ID, UNK_ID = 0, 1, 2


class Memory(NamedTuple):
    """A query in the form that decoding steps need: every decoder layer's cross-attention keys and values [B, H, S, F]
    (one entry per layer, see `gr2_jax.models.stack`), and which positions are real."""

    layers: Any
    mask: Bool[Array, "B S"]


def shift_right(tokens: Int[Array, "... T"]) -> Int[Array, "... T"]:
    """Decoder inputs for teacher forcing: T5 starts a sequence with the padding id."""
    return jnp.pad(tokens[..., :-1], [(0, 0)] * (tokens.ndim - 1) + [(1, 0)], constant_values=PAD_ID)


class EncoderLayer(nn.Module):
    config: T5Config

    @nn.compact
    def __call__(self, x: Float[Array, "B S D"], _, bias: Array, mask, deterministic: bool):
        drop = Dropout(self.config.dropout_rate)
        attention = Attention(self.config, name="self_attention")
        normed = RMSNorm(self.config, name="self_attention_norm")(x)
        x = x + drop(attention(normed, attention.project(normed), bias, mask), deterministic)
        normed = RMSNorm(self.config, name="feed_forward_norm")(x)
        x = x + drop(FeedForward(self.config, name="feed_forward")(normed, deterministic), deterministic)
        return constrain(x, "batch", "length", "activation_embed"), None


class Encoder(nn.Module):
    """Embedded tokens [B, S, D] -> normed states [B, S, D]."""

    config: T5Config

    @nn.compact
    def __call__(self, embedded: Float[Array, "B S D"], mask: Bool[Array, "B S"], deterministic: bool = True):
        cfg = self.config
        drop = Dropout(cfg.dropout_rate)
        x = constrain(drop(embedded, deterministic), "batch", "length", "activation_embed")
        if cfg.num_encoder_layers:
            length = embedded.shape[1]
            distances = jnp.arange(1 - length, length)
            bias = laid_out(cfg, RelativePositionBias(cfg, bidirectional=True, name="relative_bias")(distances))
            layers = make_layers(EncoderLayer, cfg, cfg.num_encoder_layers, {"__call__": Method(shared=3)})
            x, _ = run_layers(layers, "__call__", x, None, bias, mask, deterministic)
        return drop(RMSNorm(cfg, name="final_norm")(x), deterministic)


class DecoderLayer(nn.Module):
    """States are [B, K*T, D]: cross-attention treats a query's K sequences as one sequence of positions."""

    config: T5Config

    def setup(self):
        cfg = self.config
        self.self_attention, self.cross_attention = Attention(cfg), Attention(cfg)
        self.self_attention_norm, self.cross_attention_norm, self.feed_forward_norm = (RMSNorm(cfg) for _ in range(3))
        self.feed_forward = FeedForward(cfg)
        self.drop = Dropout(cfg.dropout_rate)

    def __call__(self, x: Float[Array, "B KT D"], _, states, mask, bias: Array, deterministic: bool):
        """Teacher forcing; `bias` carries the causal mask."""
        normed = self.self_attention_norm(x).reshape(-1, length_of(bias), x.shape[-1])
        mixed = self.self_attention(normed, self.self_attention.project(normed), bias)
        x = x + self.drop(mixed, deterministic).reshape(x.shape)
        memory = self.cross_attention.project(states)
        return self._after_self_attention(x, memory, mask, deterministic), None

    def project_memory(self, x, _, states: Float[Array, "B S D"]):
        return x, self.cross_attention.project(states)

    def step(self, x: Float[Array, "B MR D"], own: tuple[KeyValues, KeyValues], mask, bias, position: Int[Array, ""]):
        """R new tokens per beam; the cache [B, M, H, T, F] receives their keys and values from `position` on."""
        cache, memory = own
        normed = self.self_attention_norm(x).reshape(-1, bias.shape[2], x.shape[-1])
        new = self.self_attention.project(normed)
        cache = KeyValues(
            *(
                jax.lax.dynamic_update_slice_in_dim(old, fresh.reshape(*old.shape[:3], -1, old.shape[4]), position, 3)
                for old, fresh in zip(cache, new, strict=True)
            )
        )
        seen = KeyValues(*(c.reshape(-1, *c.shape[2:]) for c in cache))
        x = x + self.self_attention(normed, seen, bias).reshape(x.shape)
        return self._after_self_attention(x, memory, mask, deterministic=True), cache

    def _after_self_attention(self, x, memory: KeyValues, mask, deterministic: bool):
        mixed = self.cross_attention(self.cross_attention_norm(x), memory, None, mask)
        x = x + self.drop(mixed, deterministic)
        x = x + self.drop(self.feed_forward(self.feed_forward_norm(x), deterministic), deterministic)
        return constrain(x, "batch", "length", "activation_embed")


class Decoder(nn.Module):
    """Embedded tokens [B, K, T, D] and encoder states [B, S, D] -> normed states [B, K, T, D]."""

    config: T5Config

    def setup(self):
        cfg = self.config
        self.relative_bias = RelativePositionBias(cfg, bidirectional=False)
        # cache [B, M, (layers,) H, T, F] and memory [(layers,) B, H, S, F]: beam search reorders what leads with [B, M]
        methods = {"__call__": Method(4), "project_memory": Method(1), "step": Method(3, own=(2, 0), result=2)}
        self.layers = make_layers(DecoderLayer, cfg, cfg.num_decoder_layers, methods)
        self.final_norm = RMSNorm(cfg)
        self.drop = Dropout(cfg.dropout_rate)

    def __call__(
        self,
        embedded: Float[Array, "B K T D"],
        states: Float[Array, "B S D"],
        mask: Bool[Array, "B S"],
        deterministic: bool = True,
    ) -> Float[Array, "B K T D"]:
        batch, sequences, length, width = embedded.shape
        bias = laid_out(self.config, self._causal_bias(jnp.arange(1 - length, length)))
        x = self.drop(embedded, deterministic).reshape(batch, sequences * length, width)
        x = constrain(x, "batch", "length", "activation_embed")
        x, _ = run_layers(self.layers, "__call__", x, None, states, mask, bias, deterministic)
        return self.drop(self.final_norm(x), deterministic).reshape(embedded.shape)

    def memory(self, states: Float[Array, "B S D"], mask: Bool[Array, "B S"]) -> Memory:
        return Memory(run_layers(self.layers, "project_memory", (), None, states)[1], mask)

    def step(self, embedded: Float[Array, "B M R D"], position: Int[Array, ""], cache: Any, memory: Memory):
        batch, beams, new, width = embedded.shape
        keys = jnp.arange(jax.tree.leaves(cache)[0].shape[-2])
        distances = keys - (position + jnp.arange(new))[:, None]
        bias = self._causal_bias(distances.reshape(-1)).reshape(1, -1, *distances.shape)
        own = (cache, memory.layers)
        if not self.config.scan_layers:
            own = tuple(zip(*own, strict=True))
        x = embedded.reshape(batch, beams * new, width)
        x, cache = run_layers(self.layers, "step", x, own, memory.mask, bias, position)
        return self.final_norm(x).reshape(embedded.shape), cache

    def _causal_bias(self, distances: Int[Array, "N"]) -> Float[Array, "H N"]:
        return jnp.where(distances > 0, jnp.finfo(jnp.float32).min, self.relative_bias(distances))


def empty_cache(config: T5Config, batch: int, beams: int, length: int) -> Any:
    """The self-attention cache of all decoder layers for `beams` sequences of up to `length` tokens; every leaf leads
    with [B, M]."""
    layers = (config.num_decoder_layers,) if config.scan_layers else ()
    zeros = jnp.zeros((batch, beams, *layers, config.num_heads, length, config.d_kv), config.dtype)
    one = KeyValues(zeros, zeros)
    return one if config.scan_layers else (one,) * config.num_decoder_layers


class T5(nn.Module):
    config: T5Config

    def setup(self):
        cfg = self.config
        self.embedding = Embedding(cfg)
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
        states = self.encode(encoder_input_tokens, deterministic)
        return self.logits(self.decode(decoder_input_tokens, states, encoder_input_tokens != PAD_ID, deterministic))

    def encode(self, tokens: Int[Array, "B S"], deterministic: bool = True) -> Float[Array, "B S D"]:
        return self.encoder(self.embedding(tokens), tokens != PAD_ID, deterministic)

    def decode(
        self,
        tokens: Int[Array, "B K T"],
        states: Float[Array, "B S D"],
        mask: Bool[Array, "B S"],
        deterministic: bool = True,
    ) -> Float[Array, "B K T D"]:
        """Decoder states before the output embedding's rescale, for decoder inputs `tokens`: K sequences against one
        encoding of their query, [B, K, T, D] (or [B, T, D] for [B, T] tokens). `mask`: which of `states` are real."""
        if tokens.ndim == 2:
            return self.decode(tokens[:, None], states, mask, deterministic)[:, 0]
        return self.decoder(self.embedding(tokens), states, mask, deterministic)

    def memory(self, states: Float[Array, "B S D"], mask: Bool[Array, "B S"]) -> Memory:
        """The cross-attention keys and values of every decoder layer, for `decode_step`; computed once per query."""
        return self.decoder.memory(states, mask)

    def decode_step(
        self, tokens: Int[Array, "B M"] | Int[Array, "B M R"], position: Int[Array, ""], cache: Any, memory: Memory
    ):
        """States [B, M, D] of one more token per beam, and the updated cache; or states [B, M, R, D] of R more tokens
        per beam, the first at `position`. The cache must have room for all of them."""
        if tokens.ndim == 2:
            states, cache = self.decode_step(tokens[..., None], position, cache, memory)
            return states[..., 0, :], cache
        return self.decoder.step(self.embedding(tokens), position, cache, memory)

    def logits(self, states: Float[Array, "... D"], token_ids: Int[Array, "C"] | None = None) -> Float[Array, "... C"]:
        """Float32 logits over the vocabulary, or over the rows `token_ids` of it (the tokens that docids use)."""
        return output_logits(self._rescaled(states), self._output_table, token_ids, self.config.dtype)

    def logit_statistics(
        self, states: Float[Array, "B K T D"], targets: Int[Array, "B K T"], token_ids: Int[Array, "C"] | None = None
    ) -> LogitStatistics:
        """What a likelihood needs of the same logits; `targets` are columns of them."""
        columns = self.config.vocab_size if token_ids is None else len(token_ids)
        pieces = pieces_of(targets.shape, columns)
        if pieces == 1:
            return statistics_of(self.logits(states, token_ids), targets)
        table = self._output_table if token_ids is None else self._output_table[token_ids]
        return statistics_in_pieces(self._rescaled(states), table, targets, self.config.dtype, pieces)

    def _rescaled(self, states: Float[Array, "... D"]) -> Float[Array, "... D"]:
        cfg = self.config
        return states * cfg.d_model**-0.5 if cfg.tie_word_embeddings else states

    @property
    def _output_table(self) -> Float[Array, "V D"]:
        if self.config.tie_word_embeddings:
            return self.embedding.table
        return constrain(jnp.asarray(self.output_embedding), "vocab", "activation_embed")
