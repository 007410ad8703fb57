"""The mesh: devices on four axes, and the batch split over three of them.

replica   slices of a pod, joined by the data-centre network: parameters are copied to each
data      within a slice, likewise copies
fsdp      parameters, gradients and optimiser state are split along their width, and gathered where they are used
tensor    heads, feed-forward and vocabulary are split, and so is what is computed from them

Rows of the batch are split over the first three. The same code runs on one CPU and on many slices.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gr2_jax.errors import UserError
from gr2_jax.training.partition import BATCH_AXES, RULES

AXES = ("replica", "data", "fsdp", "tensor")
Batches = Callable[..., dict[str, np.ndarray]]
"""`batches(step, host=h, hosts=H)`: the h-th of H equal parts of a step's batch."""


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """Devices along each axis; -1, of one axis at most: as many as the others leave."""

    replica: int = 1
    data: int = -1
    fsdp: int = 1
    tensor: int = 1

    def sizes(self, devices: int) -> tuple[int, int, int, int]:
        """The size of each axis on so many devices; `UserError` where they cannot be laid out so."""
        sizes = dataclasses.astuple(self)
        for axis, size in zip(AXES, sizes, strict=True):
            if size != -1 and size < 1:
                raise UserError(f"--mesh.{axis} is {size}: it must be at least 1, or -1 for what the others leave")
        if sizes.count(-1) > 1:
            raise UserError(f"--mesh has more than one axis of -1 ({self}): only one can take what the others leave")
        given = math.prod(size for size in sizes if size != -1)
        if -1 in sizes and devices % given == 0:
            sizes = tuple(devices // given if size == -1 else size for size in sizes)
        if math.prod(sizes) != devices:
            shape = " x ".join(f"{axis} {'?' if n == -1 else n}" for axis, n in zip(AXES, sizes, strict=True))
            raise UserError(
                f"a mesh of {shape} does not fit the {devices} device{'s' * (devices > 1)} there are: the axes' "
                "product must be their number"
            )
        return sizes


def make_mesh(config: MeshConfig = MeshConfig(), devices: Sequence[jax.Device] | None = None) -> Mesh:
    """All devices, or those given, on the four axes; near ones along the later axes. Raises `UserError` where they
    cannot be, and where `replica` is no multiple of the slices, which then would share an axis that needs fast links.
    """
    devices = jax.devices() if devices is None else devices
    sizes = config.sizes(len(devices))
    slices = len({getattr(device, "slice_index", 0) for device in devices})
    if sizes[0] % slices:
        raise UserError(f"--mesh.replica is {sizes[0]} and there are {slices} slices: it must be a multiple of them")
    if slices > 1:
        within = (sizes[0] // slices, *sizes[1:])
        laid_out = mesh_utils.create_hybrid_device_mesh(
            within, (slices, 1, 1, 1), devices, process_is_granule=False, allow_split_physical_axes=True
        )
    else:
        laid_out = mesh_utils.create_device_mesh(sizes, devices, allow_split_physical_axes=True)
    return Mesh(laid_out, AXES, axis_types=(AxisType.Auto,) * len(AXES))  # Linen's modules leave it to the compiler


@contextlib.contextmanager
def using(mesh: Mesh) -> Iterator[None]:
    """Around whatever is traced: logical axes mean `RULES` on this mesh."""
    # not `with mesh`, under which Linen would drop every constraint without a word
    with jax.set_mesh(mesh), nn.logical_axis_rules(RULES):
        yield


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows split over every axis that splits the batch."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def batch_parts(mesh: Mesh) -> int:
    return math.prod(mesh.shape[axis] for axis in BATCH_AXES)


def put_batch(batches: Batches, step: int, mesh: Mesh) -> dict[str, jax.Array]:
    """The global batch of `step` on the mesh, of which each process reads what its own devices hold.

    Where one process has all devices, rows that do not divide evenly are copied to each. Raises `UserError` for such
    rows where there are several processes.
    """
    if jax.process_count() == 1:
        split, whole, parts = batch_sharding(mesh), replicated(mesh), batch_parts(mesh)
        batch = batches(step, host=0, hosts=1)
        return {name: jax.device_put(rows, whole if len(rows) % parts else split) for name, rows in batch.items()}
    own = _own_parts(mesh)
    read = {part: batches(step, host=part, hosts=batch_parts(mesh)) for part in own}
    return {name: _from_parts({part: rows[name] for part, rows in read.items()}, mesh) for name in read[own[0]]}


def on_this_host(tree: Any) -> Any:
    """Arrays that every device holds whole, as this process's own: what one process can compute with alone."""
    return jax.tree.map(lambda x: x if x.is_fully_addressable else x.addressable_data(0), tree)


def _own_parts(mesh: Mesh) -> list[int]:
    """Which parts of the batch this process's devices hold: not always neighbours, since a mesh follows the wires."""
    parts = batch_parts(mesh)
    indices = batch_sharding(mesh).addressable_devices_indices_map((parts,)).values()
    return sorted({index[0].start or 0 for index in indices})


def _from_parts(parts: dict[int, np.ndarray], mesh: Mesh) -> jax.Array:
    size = len(next(iter(parts.values())))
    shape = (size * batch_parts(mesh), *next(iter(parts.values())).shape[1:])

    def rows(index: tuple[slice, ...]) -> np.ndarray:
        return parts[(index[0].start or 0) // size][(slice(None), *index[1:])]

    return jax.make_array_from_callback(shape, batch_sharding(mesh), rows)
