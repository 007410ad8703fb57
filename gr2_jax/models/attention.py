"""T5's attention: no 1/sqrt(d) scaling, and a learned bias for relative positions that a stack's layers share."""

from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.models.attention_forms import Form, Task, form_for, is_on_mesh, platform
from gr2_jax.models.axes import constrain
from gr2_jax.models.config import T5Config
from gr2_jax.models.layers import Dense


class KeyValues(NamedTuple):
    """Projected keys and values, [..., heads, positions, d_kv]."""

    keys: Array
    values: Array


class RelativePositionBias(nn.Module):
    """One learned scalar per head and bucket of the distance (key position - query position); shared by a stack."""

    config: T5Config
    bidirectional: bool

    @nn.compact
    def __call__(self, distances: Int[Array, "N"]) -> Float[Array, "H N"]:
        cfg = self.config
        table = self.param(
            "embedding",
            nn.initializers.normal(cfg.d_model**-0.5),
            (cfg.relative_attention_num_buckets, cfg.num_heads),
            jnp.float32,
        )
        return jnp.asarray(table)[self._bucket(distances)].T

    def _bucket(self, distance: Int[Array, "N"]) -> Int[Array, "N"]:
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
        starts = _bucket_starts(exact, buckets - exact, self.config.relative_attention_max_distance)
        far = exact + jnp.sum(distance[:, None] >= jnp.asarray(starts, jnp.int32), axis=1)
        return offset + jnp.where(distance < exact, distance, far)


def _bucket_starts(exact: int, count: int, maximum: int) -> list[int]:
    """The smallest distance in each logarithmic bucket but the first, where count * log(d / exact) / log(max / exact)
    reaches 1, 2, ...; in integers, because rounding would decide the bucket of distances such as 16, 32 and 64."""
    starts, distance = [], exact
    for k in range(1, count):
        while distance**count * exact**k < maximum**k * exact**count:
            distance += 1
        starts.append(distance)
    return starts


def by_position(values: Float[Array, "H N"], length: int) -> Float[Array, "1 H T T"]:
    """[0, h, q, k] = the value of distance k - q, from values of the distances -(T-1), ..., T-1 (N = 2T - 1).

    A repeated list, cut into rows that are one shorter than the list, gives rows that each shift by one. This copies
    contiguous memory, where a gather would look up every pair of positions.
    """
    heads, distances = values.shape
    repeated = jnp.tile(jnp.pad(values, ((0, 0), (0, 1))), (1, length))
    rows = repeated[:, : length * distances].reshape(heads, length, distances)
    return rows[None, :, :, length - 1 :]


def laid_out(config: T5Config, values: Float[Array, "H N"]) -> Float[Array, "1 H T T"] | Float[Array, "H N"]:
    """The bias of self-attention as the form that will serve it reads it, from values of the distances -(T-1), ...,
    T-1."""
    length = (values.shape[1] + 1) // 2
    reads_distances = _form(config, length, length, values).reads_distances
    return values if reads_distances else by_position(values, length)


def length_of(bias: Float[Array, "1 H T S"] | Float[Array, "H N"]) -> int:
    """The number of queries that a bias is for."""
    return (bias.shape[1] + 1) // 2 if _by_distance(bias) else bias.shape[2]


def _by_distance(bias: Array | None) -> bool:
    return bias is not None and bias.ndim == 2


def _form(cfg: T5Config, queries: int, keys: int, bias: Array | None) -> Form:
    task = Task(platform(), cfg.dtype, queries, keys, cfg.d_kv, bias is not None, _by_distance(bias), is_on_mesh())
    return form_for(cfg.attention, task)[1]


class Attention(nn.Module):
    """Multi-head attention. Keys and values are projected separately from attention queries, so that the
    cross-attention memory of a retrieval query is computed once for all its docids and beams."""

    config: T5Config

    def setup(self):
        cfg = self.config
        inner = cfg.num_heads * cfg.d_kv
        self.query = Dense(inner, (cfg.d_model * cfg.d_kv) ** -0.5, cfg.dtype)
        self.key = Dense(inner, cfg.d_model**-0.5, cfg.dtype)
        self.value = Dense(inner, cfg.d_model**-0.5, cfg.dtype)
        self.out = Dense(cfg.d_model, inner**-0.5, cfg.dtype)

    def _heads(self, x: Float[Array, "B T I"]) -> Float[Array, "B H T F"]:
        x = x.reshape(*x.shape[:-1], self.config.num_heads, self.config.d_kv)
        return constrain(jnp.swapaxes(x, -2, -3), "batch", "heads", "length", "kv")

    def project(self, states: Float[Array, "B S D"]) -> KeyValues:
        return KeyValues(self._heads(self.key(states)), self._heads(self.value(states)))

    def __call__(
        self,
        x: Float[Array, "B T D"],
        memory: KeyValues,
        bias: Float[Array, "1 H T S"] | Float[Array, "H N"] | None,
        mask: Bool[Array, "B S"] | None = None,
    ) -> Float[Array, "B T D"]:
        form = _form(self.config, x.shape[1], memory.keys.shape[2], bias)
        mixed = form.attend(self._heads(self.query(x)), *memory, bias, mask)
        return self.out(jnp.swapaxes(mixed, 1, 2).reshape(*x.shape[:-1], -1))
