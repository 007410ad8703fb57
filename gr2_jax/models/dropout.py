"""Dropout whose masks are drawn on the devices that use them."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float

from gr2_jax.models.axes import mesh_axes


class Dropout(nn.Module):
    """Zeroes a share `rate` of the entries and scales the others up, like `flax.linen.Dropout`; where the batch is not
    split, the masks are the same too.

    Where a mesh splits the batch, the compiler would draw the mask of the whole batch on every device (XLA does not
    split its random-bit generator), which does not fit at pod size. Here each device draws the mask of its own rows
    from its own key, so masks depend on the mesh as well as on the seed.
    """

    rate: float

    @nn.compact
    def __call__(self, x: Float[Array, "B ..."], deterministic: bool) -> Float[Array, "B ..."]:
        if self.rate == 0 or deterministic:
            return x
        kept = bernoulli_by_rows(self.make_rng("dropout"), 1.0 - self.rate, x.shape)
        return jnp.where(kept, x / (1.0 - self.rate), jnp.zeros_like(x))


def bernoulli_by_rows(key: Array, share: float, shape: tuple[int, ...]) -> Bool[Array, "B ..."]:
    """`jax.random.bernoulli`, its rows split as the current rules split the batch."""
    axes = mesh_axes("batch")
    mesh = jax.sharding.get_abstract_mesh()
    parts = math.prod(mesh.shape[axis] for axis in axes)
    if parts == 1 or shape[0] % parts:
        return jax.random.bernoulli(key, share, shape)

    def own(data: Array, place: Array) -> Array:
        mine = jax.random.fold_in(jax.random.wrap_key_data(data, impl=jax.random.key_impl(key)), place[0])
        return jax.random.bernoulli(mine, share, (shape[0] // parts, *shape[1:]))

    drawn = jax.shard_map(
        own,
        in_specs=(PartitionSpec(), PartitionSpec(axes)),
        out_specs=PartitionSpec(axes),
        axis_names=set(axes),
        check_vma=False,
    )
    # not `jax.lax.axis_index`: the TPU compiler rejects it where other axes, such as tensor, are left to the compiler
    return drawn(jax.random.key_data(key), jnp.arange(parts))
