"""Where arrays live: one data axis over all devices, the batch split along it, everything else on every device."""

from collections.abc import Callable
from functools import partial

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def data_mesh() -> Mesh:
    """All devices on one axis, `data`."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, rows: int) -> NamedSharding:
    """Rows split over the data axis where they divide evenly, else on every device."""
    even = rows % mesh.shape["data"] == 0
    return NamedSharding(mesh, PartitionSpec("data") if even else PartitionSpec())


def of_this_host(batches: Callable[..., dict]) -> Callable[[int], dict]:
    """`batches(step, host=..., hosts=...)` as the function of the step that gives this process its part."""
    return partial(batches, host=jax.process_index(), hosts=jax.process_count())


def put_batch(batch: dict, mesh: Mesh) -> dict[str, jax.Array]:
    """The global batch on the mesh, of which every process brings its part (`of_this_host`)."""
    hosts = jax.process_count()
    if hosts == 1:
        return {name: jax.device_put(value, batch_sharding(mesh, len(value))) for name, value in batch.items()}
    split = NamedSharding(mesh, PartitionSpec("data"))
    return {
        name: jax.make_array_from_process_local_data(split, value, (hosts * len(value), *value.shape[1:]))
        for name, value in batch.items()
    }
