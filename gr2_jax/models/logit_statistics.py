"""What a likelihood needs of a token's logits, without the logits of all tokens in memory at once.

With 32,128 logits in float32 a token of a docid takes 128 kB, and as much again for its gradient. Where those of one
device are many, they are computed for a few positions at a time and, in the backward pass, once more: a fourth product
of their size, for memory that no longer grows with the tokens.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int

from gr2_jax.models.axes import mesh_axes, parts_of
from gr2_jax.models.matmul import matmul

_MOST = 1 << 26  # logits of a part of the batch held at once: 256 MiB, or less where devices split the vocabulary


class LogitStatistics(NamedTuple):
    """Of each token's logits, in float32: the log of the sum of their exponentials, the target's, and their mean."""

    log_sum: Float[Array, "B K T"]
    target: Float[Array, "B K T"]
    mean: Float[Array, "B K T"]


def statistics_of(logits: Float[Array, "B K T C"], targets: Int[Array, "B K T"]) -> LogitStatistics:
    # no array of log-probabilities as large as the logits is kept for the backward pass
    log_sum, mean = jax.nn.logsumexp(logits, axis=-1), jnp.mean(logits, axis=-1)
    return LogitStatistics(log_sum, jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0], mean)


def pieces_of(shape: tuple[int, int, int], columns: int, most: int = _MOST) -> int:
    """Into how many equal ranges of positions [B, K, T] tokens are cut, so that a part of the batch has at most `most`
    logits at once; each position apart where that is still too much."""
    *_, length = shape
    own = math.prod(shape) * columns // parts_of(mesh_axes("batch", shape[0]))
    return next((n for n in range(1, length + 1) if length % n == 0 and own // n <= most), length)


def statistics_in_pieces(
    states: Float[Array, "B K T D"],
    table: Float[Array, "C D"],
    targets: Int[Array, "B K T"],
    dtype: str,
    pieces: int,
) -> LogitStatistics:
    """`statistics_of` the products of states and table with inputs in `dtype`, for one of `pieces` equal ranges of
    positions after the other. `targets` are rows of the table."""
    in_pieces = functools.partial(_in_pieces, dtype, pieces)
    axes = mesh_axes("batch", len(states))
    if not axes:
        return in_pieces(states, table, targets)
    # on each device its own rows: otherwise every piece's gradient of the table would be summed over all devices
    rows = PartitionSpec(axes)
    split = jax.shard_map(
        in_pieces,
        in_specs=(rows, PartitionSpec(), rows),
        out_specs=LogitStatistics(rows, rows, rows),
        axis_names=set(axes),
        check_vma=False,
    )
    return split(states, table, targets)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _in_pieces(dtype: str, pieces: int, states: Array, table: Array, targets: Array) -> LogitStatistics:
    """The same, for one of `pieces` equal ranges of positions after the other."""

    def one(_, piece: tuple[Array, Array]) -> tuple[None, LogitStatistics]:
        return None, _products(piece[0], table, piece[1], dtype)

    return _together(lax.scan(one, None, (_apart(states, pieces), _apart(targets, pieces)))[1])


def _forward(dtype, pieces, states, table, targets):
    return _in_pieces(dtype, pieces, states, table, targets), (states, table, targets)


def _backward(dtype, pieces, saved, cotangents: LogitStatistics):
    states, table, targets = saved

    def one(to_table: Array, piece: tuple[Array, Array, LogitStatistics]) -> tuple[Array, Array]:
        states, targets, cotangents = piece
        pull = jax.vjp(lambda states, table: _products(states, table, targets, dtype), states, table)[1]
        to_states, more = pull(cotangents)
        return to_table + more, to_states

    given = jax.tree.map(lambda x: _apart(x, pieces), (states, targets, cotangents))
    to_table, to_states = lax.scan(one, jnp.zeros_like(table), given)
    return _together(to_states), to_table, None


_in_pieces.defvjp(_forward, _backward)


def _products(states, table, targets, dtype) -> LogitStatistics:
    return statistics_of(matmul(states, table.T, dtype, "float32"), targets)


def _apart(x: Array, pieces: int) -> Array:
    """[B, K, T, ...] -> [pieces, B, K, T / pieces, ...]"""
    return jnp.moveaxis(x.reshape(*x.shape[:2], pieces, -1, *x.shape[3:]), 2, 0)


def _together(x):
    """The inverse, of every array of a tree."""
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, 2).reshape(*x.shape[1:3], -1, *x.shape[4:]), x)
