"""T5's parts: norm, attention, feed-forward, relative position bias (Raffel et al. 2020, JMLR 21/140)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from gr2_jax.models.config import T5Config


class KeyValues(NamedTuple):
    """Projected keys and values, [batch, positions, heads, d_kv]."""

    keys: Array
    values: Array


def _dense(features: int, std: float, dtype: str, name: str | None = None) -> nn.Dense:
    init = nn.initializers.normal(std)
    return nn.Dense(features, use_bias=False, kernel_init=init, dtype=dtype, param_dtype=jnp.float32, name=name)


class RMSNorm(nn.Module):
    """T5's layer norm: no mean, no bias, computed in float32."""

    config: T5Config

    @nn.compact
    def __call__(self, x: Float[Array, "... D"]) -> Float[Array, "... D"]:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],), jnp.float32)
        x32 = x.astype(jnp.float32)
        mean_square = jnp.mean(jnp.square(x32), axis=-1, keepdims=True)
        normed = x32 * jax.lax.rsqrt(mean_square + self.config.layer_norm_epsilon)
        return (normed * scale).astype(self.config.dtype)


class RelativePositionBias(nn.Module):
    """One learned scalar per head and bucket of (key position - query position); shared by a stack's layers."""

    config: T5Config
    bidirectional: bool

    @nn.compact
    def __call__(self, query_positions: Int[Array, "Q"], key_positions: Int[Array, "S"]) -> Float[Array, "1 H Q S"]:
        cfg = self.config
        table = self.param(
            "embedding",
            nn.initializers.normal(cfg.d_model**-0.5),
            (cfg.relative_attention_num_buckets, cfg.num_heads),
            jnp.float32,
        )
        buckets = self._bucket(key_positions[None, :] - query_positions[:, None])
        return jnp.transpose(jnp.asarray(table)[buckets], (2, 0, 1))[None]

    def _bucket(self, distance: Int[Array, "Q S"]) -> Int[Array, "Q S"]:
        """Half of the buckets are exact distances, the rest grow logarithmically up to the maximum distance."""
        buckets = self.config.relative_attention_num_buckets
        offset = 0
        if self.bidirectional:
            buckets //= 2
            offset = jnp.where(distance > 0, buckets, 0)
            distance = jnp.abs(distance)
        else:
            distance = jnp.maximum(-distance, 0)
        exact = buckets // 2
        span = jnp.log(self.config.relative_attention_max_distance / exact)
        # max(., 1) only keeps the logarithm finite where the exact branch is taken anyway
        growth = jnp.log(jnp.maximum(distance, 1).astype(jnp.float32) / exact) / span
        far = jnp.minimum(exact + (growth * (buckets - exact)).astype(jnp.int32), buckets - 1)
        return offset + jnp.where(distance < exact, distance, far)


class Attention(nn.Module):
    """Multi-head attention without T5's (absent) 1/sqrt(d) scaling; keys and values are projected apart from queries
    so that a query's cross-attention memory is computed once for all its docids and beams."""

    config: T5Config

    def setup(self):
        cfg = self.config
        inner = cfg.num_heads * cfg.d_kv
        self.query = _dense(inner, (cfg.d_model * cfg.d_kv) ** -0.5, cfg.dtype)
        self.key = _dense(inner, cfg.d_model**-0.5, cfg.dtype)
        self.value = _dense(inner, cfg.d_model**-0.5, cfg.dtype)
        self.out = _dense(cfg.d_model, inner**-0.5, cfg.dtype)

    def _heads(self, x: Float[Array, "B T I"]) -> Float[Array, "B T H F"]:
        return x.reshape(*x.shape[:-1], self.config.num_heads, self.config.d_kv)

    def project(self, states: Float[Array, "B S D"]) -> KeyValues:
        return KeyValues(self._heads(self.key(states)), self._heads(self.value(states)))

    def __call__(
        self, x: Float[Array, "B T D"], memory: KeyValues, bias: Float[Array, "#B #H #T S"] | None, mask=None
    ) -> Float[Array, "B T D"]:
        queries = self._heads(self.query(x))
        mixed = jax.nn.dot_product_attention(queries, memory.keys, memory.values, bias=bias, mask=mask, scale=1.0)
        return self.out(mixed.reshape(*x.shape[:-1], -1))


class FeedForward(nn.Module):
    """relu (1.0) or gated tanh-gelu (1.1)."""

    config: T5Config

    @nn.compact
    def __call__(self, x: Float[Array, "... D"], deterministic: bool) -> Float[Array, "... D"]:
        cfg = self.config
        hidden = _dense(cfg.d_ff, cfg.d_model**-0.5, cfg.dtype, name="wi")(x)
        if cfg.feed_forward == "relu":
            hidden = nn.relu(hidden)
        else:
            gate = _dense(cfg.d_ff, cfg.d_model**-0.5, cfg.dtype, name="gate")(x)
            hidden = nn.gelu(gate, approximate=True) * hidden
        hidden = nn.Dropout(cfg.dropout_rate)(hidden, deterministic)
        return _dense(cfg.d_model, cfg.d_ff**-0.5, cfg.dtype, name="wo")(hidden)
