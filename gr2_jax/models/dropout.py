"""Dropout whose masks are drawn on the devices that use them."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float

from gr2_jax.models.axes import mesh_axes, parts_of

_VALUES = 2**16  # of the random number that decides an entry


class Dropout(nn.Module):
    """Zeroes a share `rate` of the entries and scales the others up, like `flax.linen.Dropout`.

    An entry takes 16 random bits, half of what Flax draws: dropout takes an eighth of a T5-base's training step on an
    H200, most of it for random bits and their way through memory. The rate is therefore rounded to a multiple of 2^-16,
    and the scale is that of the rounded rate, so that an entry's mean stays what it was.

    Where a mesh splits the batch, the compiler would draw the mask of the whole batch on every device (XLA does not
    split its random-bit generator), which does not fit at pod size. Here each device draws the mask of its own rows
    from its own key, so masks depend on the mesh as well as on the seed.
    """

    rate: float

    @nn.compact
    def __call__(self, x: Float[Array, "B ..."], deterministic: bool) -> Float[Array, "B ..."]:
        dropped = min(round(self.rate * _VALUES), _VALUES - 1)
        if dropped == 0 or deterministic:
            return x
        kept = kept_by_rows(self.make_rng("dropout"), dropped, x.shape)
        # scaled in float32: a bfloat16 scale would be off by up to .4%
        scaled = (x.astype(jnp.float32) * (_VALUES / (_VALUES - dropped))).astype(x.dtype)
        return jnp.where(kept, scaled, jnp.zeros_like(x))


def kept_by_rows(key: Array, dropped: int, shape: tuple[int, ...]) -> Bool[Array, "B ..."]:
    """False for a share of `dropped` / 2^16 of the entries; the rows are drawn as the current rules split the batch."""
    axes = mesh_axes("batch", shape[0])
    if not axes:
        return _kept(key, dropped, shape)
    parts = parts_of(axes)

    def own(data: Array, place: Array) -> Array:
        mine = jax.random.fold_in(jax.random.wrap_key_data(data, impl=jax.random.key_impl(key)), place[0])
        return _kept(mine, dropped, (shape[0] // parts, *shape[1:]))

    drawn = jax.shard_map(
        own,
        in_specs=(PartitionSpec(), PartitionSpec(axes)),
        out_specs=PartitionSpec(axes),
        axis_names=set(axes),
        check_vma=False,
    )
    # not `jax.lax.axis_index`: the TPU compiler rejects it where other axes, such as tensor, are left to the compiler
    return drawn(jax.random.key_data(key), jnp.arange(parts))


def _kept(key: Array, dropped: int, shape: tuple[int, ...]) -> Bool[Array, "B ..."]:
    *others, width = shape
    words = jax.random.bits(key, (*others, -(-width // 2)), jnp.uint32)
    # side by side along the last axis: on a TPU a reshape of pairs would lay the array out anew
    halves = jnp.concatenate([words & (_VALUES - 1), words >> 16], axis=-1)
    return halves[..., :width] >= dropped
