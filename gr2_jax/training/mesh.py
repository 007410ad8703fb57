"""The mesh: devices on four axes, and the batch split over three of them.

replica   slices of a pod, joined by the data-centre network; parameters are replicated over them
data      chips within a slice; parameters are replicated over them
fsdp      parameters, gradients and optimiser state are split along their width, and gathered where they are used
tensor    heads, feed-forward and vocabulary are split, and so are the activations computed from them

Rows of the batch are split over the first three. The same code runs on one CPU and on many slices.
"""

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gr2_jax.errors import SettingError, UserError
from gr2_jax.training.partition import BATCH_AXES, RULES

AXES = ("replica", "data", "fsdp", "tensor")
Batches = Callable[..., dict[str, np.ndarray]]
"""`batches(step, host=h, hosts=H)`: the h-th of H equal parts of a step's batch."""


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """Devices along each axis; at most one axis may be -1, which takes the devices that the others leave.

    replica    slices of a pod: the batch is split over them
    data       devices that the batch is split over
    fsdp       devices that the batch, the parameters and the optimiser's state are split over
    tensor     devices that heads, feed-forward and vocabulary are split over
    """

    replica: int = 1
    data: int = -1
    fsdp: int = 1
    tensor: int = 1

    def __post_init__(self):
        sizes = dataclasses.astuple(self)
        for axis, size in zip(AXES, sizes, strict=True):
            if not isinstance(size, int) or (size != -1 and size < 1):
                raise SettingError(self, axis, f"is {size!r}: it must be at least 1, or -1 for the remaining devices")
        if sizes.count(-1) > 1:
            raise SettingError(self, AXES[sizes.index(-1)], f"is -1 like another axis: at most one may be ({self})")

    def sizes(self, devices: int) -> tuple[int, int, int, int]:
        """The size of each axis on this number of devices; `UserError` if the axes do not fit it."""
        sizes = dataclasses.astuple(self)
        given = math.prod(size for size in sizes if size != -1)
        if -1 in sizes and devices % given == 0:
            sizes = tuple(devices // given if size == -1 else size for size in sizes)
        if math.prod(sizes) != devices:
            shape = " x ".join(f"{axis} {'?' if n == -1 else n}" for axis, n in zip(AXES, sizes, strict=True))
            raise UserError(
                f"a mesh of {shape} does not fit the {devices} device{'s' * (devices > 1)}: the product of the "
                "axes must equal the number of devices"
            )
        return sizes


def make_mesh(config: MeshConfig = MeshConfig(), devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of all devices, or of those given, with neighbours along the later axes. Raises `UserError` if they do not
    fit, or if `replica` is not a multiple of the number of slices: an axis that needs fast links would span slices.
    """
    devices = jax.devices() if devices is None else devices
    sizes = config.sizes(len(devices))
    slices = len({getattr(device, "slice_index", 0) for device in devices})
    if sizes[0] % slices:
        raise UserError(f"--mesh.replica is {sizes[0]} for {slices} slices: it must be a multiple of {slices}")
    if slices > 1:
        within = (sizes[0] // slices, *sizes[1:])
        laid_out = mesh_utils.create_hybrid_device_mesh(
            within, (slices, 1, 1, 1), devices, process_is_granule=False, allow_split_physical_axes=True
        )
    else:
        laid_out = mesh_utils.create_device_mesh(sizes, devices, allow_split_physical_axes=True)
    return Mesh(laid_out, AXES, axis_types=(AxisType.Auto,) * len(AXES))  # Linen leaves it to the compiler


def devices_in_words() -> str:
    """Such as `on 1 CPU device (2 cores)` or `on 8 devices in 2 processes: NVIDIA H100 80GB HBM3`."""
    devices, processes = jax.devices(), jax.process_count()
    plural, together = "s" * (len(devices) > 1), f" in {processes} processes" * (processes > 1)
    if devices[0].platform == "cpu":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return f"on {len(devices)} CPU device{plural}{together} ({cores} core{'s' * (cores != 1)})"
    kinds = ", ".join(sorted({device.device_kind for device in devices}))
    return f"on {len(devices)} device{plural}{together}: {kinds}"


@contextlib.contextmanager
def using(mesh: Mesh) -> Iterator[None]:
    """Wraps tracing: logical axes follow `RULES` on this mesh."""
    # not `with mesh`, under which Linen drops every constraint silently
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
    """The global batch of `step` on the mesh; each process reads only the rows that its devices hold.

    Rows that do not divide evenly are replicated if one process has all devices, and raise `UserError` if there are
    several processes.
    """
    if jax.process_count() == 1:
        split, whole, parts = batch_sharding(mesh), replicated(mesh), batch_parts(mesh)
        batch = batches(step, host=0, hosts=1)
        return {name: jax.device_put(rows, whole if len(rows) % parts else split) for name, rows in batch.items()}
    own = _own_parts(mesh)
    read = {part: batches(step, host=part, hosts=batch_parts(mesh)) for part in own}
    return {name: _from_parts({part: rows[name] for part, rows in read.items()}, mesh) for name in read[own[0]]}


def on_this_host(tree: Any) -> Any:
    """Replicated arrays as arrays of this process, which it can compute with alone."""
    return jax.tree.map(lambda x: x if x.is_fully_addressable else x.addressable_data(0), tree)


def divided_in_each_process(tree: Any, mesh: Mesh) -> Any:
    """Arrays of the mesh's devices as arrays of this process's devices alone: every process gets all of each, divided
    over its own devices along a dimension that they divide."""
    ordered = sorted(mesh.devices.flat, key=lambda device: (device.process_index, device.id))
    devices = np.array(ordered).reshape(jax.process_count(), -1)
    of_all, own = Mesh(devices, ("process", "device")), Mesh(devices[jax.process_index()], ("device",))

    def place(x: jax.Array) -> PartitionSpec:
        divisible = [i for i, size in enumerate(x.shape) if size % own.size == 0]
        part = x.sharding.shard_shape(x.shape)
        split = [i for i in divisible if part[i] < x.shape[i]] or divisible  # as it is divided already: moves the least
        return PartitionSpec(*(None,) * split[0], "device") if split else PartitionSpec()

    places = jax.tree.map(place, tree)
    # one program, and waited for: several that wait for the other processes must not queue up
    there = jax.tree.map(lambda spec: NamedSharding(of_all, spec), places)
    moved = jax.block_until_ready(jax.jit(_unchanged, out_shardings=there)(tree))

    def of_this_process(x: jax.Array, spec: PartitionSpec) -> jax.Array:
        parts = [shard.data for shard in x.addressable_shards]
        return jax.make_array_from_single_device_arrays(x.shape, NamedSharding(own, spec), parts)

    return jax.tree.map(of_this_process, moved, places)


def _unchanged(tree: Any) -> Any:
    return tree


def _own_parts(mesh: Mesh) -> list[int]:
    """The parts of the batch that this process's devices hold; not always adjacent, since a mesh follows the wiring."""
    parts = batch_parts(mesh)
    indices = batch_sharding(mesh).addressable_devices_indices_map((parts,)).values()
    return sorted({index[0].start or 0 for index in indices})


def _from_parts(parts: dict[int, np.ndarray], mesh: Mesh) -> jax.Array:
    size = len(next(iter(parts.values())))
    shape = (size * batch_parts(mesh), *next(iter(parts.values())).shape[1:])

    def rows(index: tuple[slice, ...]) -> np.ndarray:
        return parts[(index[0].start or 0) // size][(slice(None), *index[1:])]

    return jax.make_array_from_callback(shape, batch_sharding(mesh), rows)
