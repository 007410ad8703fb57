"""What a search keeps on the devices of this process: whole on each of them, or divided over them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from gr2_jax.decoding import TrieArrays
from gr2_jax.decoding.devices import AXIS, local_devices
from gr2_jax.decoding.divided import Divided
from gr2_jax.errors import UserError
from gr2_jax.models import GR2
from gr2_jax.models.divided import divided_places, gathering, is_matrix_of_layer


class Placement(NamedTuple):
    """What is divided over the devices; the rest is whole on each.

    table     docids and their vectors, by documents
    trie      its arrays, by nodes
    params    the `PartitionSpec` of each parameter where the model is divided, see `gr2_jax.models.divided`; else None
    """

    table: bool = False
    trie: bool = False
    params: Any = None

    @property
    def axis(self) -> str | None:
        """The axis of devices that must take every step of a beam search together, if they must."""
        return AXIS if self.trie or self.params is not None else None

    @property
    def params_split(self) -> Any:
        """For `on_each_device`."""
        return False if self.params is None else self.params

    def applied(self, model: GR2, params: Any) -> Callable:
        """`model.apply` with these parameters, inside the compiled program."""

        def apply(*arguments: Any, **options: Any) -> Any:
            with gathering(None if self.params is None else AXIS):
                return model.apply({"params": params}, *arguments, **options)

        return apply

    def readable(self, trie: TrieArrays) -> TrieArrays:
        """The trie, inside the compiled program, as a search reads it."""
        return jax.tree.map(lambda part: Divided(part, AXIS), trie) if self.trie else trie


WHOLE = Placement()
"""Everything is whole on every device."""


def places_of(params: Any) -> Any:
    """`Placement.params` of a model that is divided over the devices of this process; `UserError` where their number
    does not divide it."""
    devices = jax.local_device_count()
    try:
        return divided_places(params, AXIS, devices)
    except ValueError as error:
        raise UserError(f"parameters are 'sharded' over {devices} devices, but {error}: use 'replicated'") from error


def on_every_device(tree: Any) -> Any:
    """Replicates the arrays on every device of this process."""
    return jax.device_put(tree, NamedSharding(local_devices(), PartitionSpec()))


def divided_over_devices(table: np.ndarray) -> Array:
    """Divides the rows over the devices of this process, as many on each; the last ones are padded with 0. Of a mapped
    table one device's rows are in memory at a time."""
    mesh = local_devices()
    held = -(-len(table) // mesh.size)

    def rows_of(place: tuple[slice, ...]) -> np.ndarray:
        start = place[0].start or 0
        rows = table[start : start + held]
        return np.pad(rows, [(0, held - len(rows))] + [(0, 0)] * (table.ndim - 1)) if len(rows) < held else rows

    shape = (held * mesh.size, *table.shape[1:])
    return jax.make_array_from_callback(shape, NamedSharding(mesh, PartitionSpec(AXIS)), rows_of)


def params_on_devices(params: Any, dtype: str, places: Any) -> Any:
    """Puts parameters on the devices of this process, divided as `places` says, or whole where it is None. The layers'
    matrices are kept in the type of the activations, to which each product would cast them."""
    mesh = local_devices()
    if places is None:
        places = jax.tree.map(lambda _: PartitionSpec(), params)

    def put(path: tuple, value: Any, place: PartitionSpec) -> Array:
        kept = value.astype(dtype) if is_matrix_of_layer(path) else value
        return jax.device_put(kept, NamedSharding(mesh, place))

    return jax.tree_util.tree_map_with_path(put, params, places)
