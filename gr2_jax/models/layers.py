"""T5's parts beside attention: dense layers, norm, feed-forward, embedding (Raffel et al. 2020, JMLR 21/140)."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from gr2_jax.models.axes import constrain
from gr2_jax.models.config import T5Config
from gr2_jax.models.dropout import Dropout
from gr2_jax.models.matmul import matmul


class Dense(nn.Module):
    """x @ kernel, without a bias; `std` is the standard deviation of the kernel's starting values."""

    features: int
    std: float
    dtype: str

    @nn.compact
    def __call__(self, x: Float[Array, "... I"]) -> Float[Array, "... O"]:
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(self.std), shape, jnp.float32)
        return matmul(x, jnp.asarray(kernel), self.dtype, self.dtype)


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


class FeedForward(nn.Module):
    """relu (1.0) or gated tanh-gelu (1.1)."""

    config: T5Config

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"], deterministic: bool) -> Float[Array, "B T D"]:
        cfg = self.config
        hidden = Dense(cfg.d_ff, cfg.d_model**-0.5, cfg.dtype, name="wi")(x)
        if cfg.feed_forward == "relu":
            hidden = nn.relu(hidden)
        else:
            gate = Dense(cfg.d_ff, cfg.d_model**-0.5, cfg.dtype, name="gate")(x)
            hidden = nn.gelu(gate, approximate=True) * hidden
        hidden = constrain(hidden, "batch", "length", "mlp")
        hidden = Dropout(cfg.dropout_rate)(hidden, deterministic)
        return Dense(cfg.d_model, cfg.d_ff**-0.5, cfg.dtype, name="wo")(hidden)


class Embedding(nn.Module):
    """The table of token vectors, read as inputs and, where tied, as the weights of the output."""

    config: T5Config

    def setup(self):
        shape = (self.config.vocab_size, self.config.d_model)
        self.embedding = self.param("embedding", nn.initializers.normal(1.0), shape, jnp.float32)

    @property
    def table(self) -> Float[Array, "V D"]:
        # gathered along its width first: otherwise a lookup by split tokens would replicate its result
        return constrain(jnp.asarray(self.embedding), "vocab", "activation_embed")

    def __call__(self, tokens: Int[Array, "..."]) -> Float[Array, "... D"]:
        return self.table[tokens].astype(self.config.dtype)


def output_logits(
    states: Float[Array, "... D"], table: Float[Array, "V D"], token_ids: Int[Array, "C"] | None, dtype: str
) -> Float[Array, "... C"]:
    """Float32 logits: products with all rows of the output embedding, or with the rows `token_ids`."""
    if token_ids is not None:  # not constrained: a mesh axis need not divide the number of rows
        return matmul(states, table[token_ids].T, dtype, "float32")
    logits = matmul(states, table.T, dtype, "float32")
    return constrain(logits, "batch", *("docids", "length")[4 - logits.ndim :], "vocab")
