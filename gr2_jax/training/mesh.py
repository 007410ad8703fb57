"""Where arrays live: one data axis over all devices, the batch split along it, everything else on every device."""

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


def put_batch(batch: dict, mesh: Mesh) -> dict[str, jax.Array]:
    return {name: jax.device_put(value, batch_sharding(mesh, len(value))) for name, value in batch.items()}
