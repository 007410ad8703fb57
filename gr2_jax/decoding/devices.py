"""One search on many devices: each runs the same program on its own queries."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

AXIS = "data"


def local_devices() -> Mesh:
    """The devices of this process on one axis, `AXIS`."""
    return Mesh(np.array(jax.local_devices()), (AXIS,))


def on_each_device(search: Callable, split: Sequence[Any], mesh: Mesh | None = None) -> Callable:
    """Compiles `search` for every device of the mesh (default: this process's own).

    Args:
        search: Arrays in, arrays out; its loops stop when the device's own queries are done.
        split: For each argument, or for each part of one, whether its rows are divided over the devices, or how it is;
            all others are replicated.
        mesh: A mesh with the single axis `AXIS`.
    """

    def place(how: bool | PartitionSpec) -> PartitionSpec:
        return how if isinstance(how, PartitionSpec) else PartitionSpec(AXIS) if how else PartitionSpec()

    # no check_vma: a search's loops start from constants, which are replicated, and end in values that are not
    return jax.jit(
        jax.shard_map(
            search,
            mesh=local_devices() if mesh is None else mesh,
            in_specs=jax.tree.map(place, tuple(split)),
            out_specs=PartitionSpec(AXIS),
            check_vma=False,
        )
    )
