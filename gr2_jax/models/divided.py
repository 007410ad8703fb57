"""Layers of which each device holds a part: a layer's matrices are gathered when it runs, and dropped after it.

Every device then computes what it would compute with whole matrices, to the last bit, and a model needs the memory of
its part and of one layer. Tables of token vectors, norms and biases stay whole.
"""

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import jax
from flax import linen as nn
from jax import lax
from jax.sharding import PartitionSpec

from gr2_jax.models.axes import logical_axes

_DIVIDED, _LAYER = "embed", "layer"
_AXIS: ContextVar[str | None] = ContextVar("axis", default=None)


@contextlib.contextmanager
def gathering(axis: str | None) -> Iterator[None]:
    """Wraps tracing under `jax.shard_map`: of the layers' matrices each device holds the part that `divided_places`
    gives it on `axis`; None: it holds them whole."""
    token = _AXIS.set(axis)
    try:
        yield
    finally:
        _AXIS.reset(token)


def divided_places(params: dict, axis: str, devices: int) -> dict:
    """The `PartitionSpec` of every parameter: a layer's matrices divided over `axis` along the model's width.

    Raises:
        ValueError: The number of devices does not divide the width.
    """

    def place(path: tuple, value: Any, names: PartitionSpec) -> PartitionSpec:
        if not is_matrix_of_layer(path):
            return PartitionSpec()
        if value.shape[names.index(_DIVIDED)] % devices:
            raise ValueError(f"{devices} devices do not divide {value.shape[names.index(_DIVIDED)]}")
        return PartitionSpec(*(axis if name == _DIVIDED else None for name in names))

    return jax.tree_util.tree_map_with_path(place, params, logical_axes(params))


def is_matrix_of_layer(path: tuple) -> bool:
    """Whether a parameter is a matrix of a layer: `gr2_jax.models.matmul` alone reads it, in the activations' type."""
    return path[-1].key == "kernel" and any(str(key.key).startswith(_LAYER) for key in path)


def gathered(layer: type[nn.Module], methods: Sequence[str]) -> type[nn.Module]:
    """The layer, whose parameters are gathered where tracing goes on under `gathering`."""
    axis = _AXIS.get()
    if axis is None:
        return layer

    def whole(variables: dict) -> dict:
        params = variables["params"]

        def gather(value: jax.Array, names: PartitionSpec) -> jax.Array:
            if value.ndim < 2:
                return value
            return lax.all_gather(value, axis, axis=names.index(_DIVIDED), tiled=True)

        return {"params": jax.tree.map(gather, params, logical_axes(params))}

    return nn.map_variables(layer, "params", trans_in_fn=whole, methods=tuple(methods))
