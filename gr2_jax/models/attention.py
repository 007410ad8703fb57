"""T5's attention: no 1/sqrt(d) scaling, and a learned bias for relative positions that a stack's layers share."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.models.axes import constrain
from gr2_jax.models.config import T5Config
from gr2_jax.models.layers import Dense

_MASKED = float(jnp.finfo(jnp.float32).min)


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
        bias: Float[Array, "1 H T S"] | None,
        mask: Bool[Array, "B S"] | None = None,
    ) -> Float[Array, "B T D"]:
        attend = {"recompute": recompute_attention, "xla": xla_attention}[self.config.attention]
        mixed = attend(self._heads(self.query(x)), *memory, bias, mask)
        return self.out(jnp.swapaxes(mixed, 1, 2).reshape(*x.shape[:-1], -1))


def xla_attention(queries, keys, values, bias, mask) -> Float[Array, "B H T F"]:
    """Attention through `jax.nn.dot_product_attention`, which keeps the weights for the backward pass."""
    queries, keys, values = (jnp.swapaxes(x, 1, 2) for x in (queries, keys, values))
    mask = None if mask is None else mask[:, None, None, :]
    mixed = jax.nn.dot_product_attention(queries, keys, values, bias=bias, mask=mask, scale=1.0, implementation="xla")
    return jnp.swapaxes(mixed, 1, 2)


@jax.custom_vjp
def recompute_attention(
    queries: Float[Array, "B H T F"],
    keys: Float[Array, "B H S F"],
    values: Float[Array, "B H S F"],
    bias: Float[Array, "1 H T S"] | None,
    mask: Bool[Array, "B S"] | None,
) -> Float[Array, "B H T F"]:
    """softmax(queries keys' + bias) values, whose backward pass recomputes the weights from their normaliser.

    Nothing of size T x S per layer is kept between forward and backward (Dao et al. 2022, FlashAttention, 3.1). No
    product needs a transposed copy of such an array: where a product sums over its rows, it is the right operand.
    """
    return _attention_forward(queries, keys, values, bias, mask)[0]


def _attention_forward(queries, keys, values, bias, mask):
    logits = _logits(queries, keys, bias, mask)
    top = logits.max(-1, keepdims=True)
    weights = jnp.exp(logits - top)
    total = weights.sum(-1, keepdims=True)
    mixed = (_batched(weights.astype(values.dtype), values, 3, 2) / total).astype(queries.dtype)
    return mixed, (queries, keys, values, bias, mask, mixed, top, total)


def _attention_backward(saved, cotangent):
    # the barrier keeps XLA from recognising the forward pass's logits and keeping them
    queries, keys, values, bias, mask, mixed, top, total = lax.optimization_barrier(saved)
    weights = jnp.exp(_logits(queries, keys, bias, mask) - top) / total
    dot_with_mixed = jnp.sum(cotangent.astype(jnp.float32) * mixed, -1, keepdims=True)
    to_logits = weights * (_batched(cotangent, values, 3, 3) - dot_with_mixed)
    if mask is not None:  # matters for a query whose keys are all masked: its weights are not 0
        to_logits = jnp.where(mask[:, None, None, :], to_logits, 0.0)
    low = to_logits.astype(queries.dtype)
    to_queries = _batched(low, keys, 3, 2)
    to_keys = jnp.swapaxes(_batched(queries, low, 2, 2), 2, 3)
    to_values = jnp.swapaxes(_batched(cotangent, weights.astype(values.dtype), 2, 2), 2, 3)
    to_bias = None if bias is None else _sum_over_batch(to_logits).astype(bias.dtype)
    to_qkv = (to.astype(queries.dtype) for to in (to_queries, to_keys, to_values))
    return *to_qkv, to_bias, None


recompute_attention.defvjp(_attention_forward, _attention_backward)


def _logits(queries, keys, bias, mask) -> Float[Array, "B H T S"]:
    logits = _batched(queries, keys, 3, 3)
    if bias is not None:
        logits += bias
    return logits if mask is None else jnp.where(mask[:, None, None, :], logits, _MASKED)


def _batched(a: Array, b: Array, a_axis: int, b_axis: int) -> Array:
    """A product per sequence and head, in float32: [B, H, the other axis of a, the other axis of b]."""
    return lax.dot_general(a, b, ((((a_axis,), (b_axis,)), ((0, 1), (0, 1)))), preferred_element_type=jnp.float32)


def _sum_over_batch(x: Float[Array, "B H T S"]) -> Float[Array, "1 H T S"]:
    # as a product: XLA's reduction over a leading axis is several times slower on CPU
    ones = jnp.ones((1, len(x)), x.dtype)
    return lax.dot_general(ones, x, (((1,), (0,)), ((), ())), precision=lax.Precision.HIGHEST)
