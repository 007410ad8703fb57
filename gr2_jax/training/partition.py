"""How parameters and optimiser state are split: one table from the name of a dimension to the mesh axes that split it.

Strict: a dimension without a name, a name without a rule, a size that its mesh axes do not divide, and too large a
replicated share of the parameters are errors instead of silent replication.
"""

import math
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gr2_jax.errors import UserError
from gr2_jax.models import logical_axes, param_shardings

BATCH_AXES = ("replica", "data", "fsdp")

RULES = (  # see `gr2_jax.models.axes` for the names
    ("batch", BATCH_AXES),
    ("docids", None),
    ("length", None),
    ("embed", "fsdp"),
    ("activation_embed", None),
    ("vocab", "tensor"),
    ("joined_kv", "tensor"),
    ("heads", "tensor"),
    ("mlp", "tensor"),
    ("kv", None),
    ("relpos_buckets", None),
    ("layers", None),
    ("grades", None),
)
MOST_UNSPLIT = 0.02  # of all parameters, if the mesh could split them


def place_params(params: Any, mesh: Mesh) -> Any:
    """A `NamedSharding` for every parameter (an array or its shape); on a mesh without fsdp and tensor devices every
    parameter is replicated.

    Raises:
        KeyError: The dimensions of a parameter have no names.
        UserError: A dimension is not divisible by its mesh axes, or more than 2% of the parameters would be replicated
            although the mesh has fsdp or tensor devices.
    """
    if mesh.shape["fsdp"] * mesh.shape["tensor"] == 1:
        whole = NamedSharding(mesh, PartitionSpec())
        return jax.tree.map(lambda _: whole, params)
    shardings = param_shardings(params, mesh, RULES)
    jax.tree_util.tree_map_with_path(_check_division, params, shardings, logical_axes(params))
    _check_share(params, shardings)
    return shardings


def _check_division(path: tuple, param: Any, sharding: NamedSharding, names: PartitionSpec) -> None:
    for size, axes, name in zip(param.shape, sharding.spec, names, strict=False):
        axes = (axes,) if isinstance(axes, str) else axes or ()
        devices = math.prod(sharding.mesh.shape[axis] for axis in axes)
        if size % devices:
            whole = math.gcd(size, devices)
            raise UserError(
                f"--mesh.{axes[0]} is {devices} and does not divide the {size} of '{name}' in "
                f"{_written(path)}: {whole} would"
            )


def _check_share(params: Any, shardings: Any) -> None:
    whole, total = {}, 0
    for (path, param), sharding in zip(
        jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(shardings), strict=True
    ):
        total += math.prod(param.shape)
        if sharding.is_fully_replicated:
            whole[_written(path)] = math.prod(param.shape)
    if sum(whole.values()) > MOST_UNSPLIT * total:
        largest = max(whole, key=whole.get)
        raise UserError(
            f"{sum(whole.values()) / total:.1%} of the parameters would be replicated (the largest is {largest}): on a "
            f"mesh with fsdp or tensor devices at most {MOST_UNSPLIT:.0%} may be"
        )


def place_like_params(state: Any, params: Any, shardings: Any) -> Any:
    """A sharding for each array of the optimiser state: a parameter's if path and shape agree (Adam's moments), else
    replicated (counts, Adafactor's row and column means, which are vectors)."""
    named = zip(jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(shardings), strict=True)
    known = [(path, param.shape, sharding) for (path, param), sharding in named]
    whole = NamedSharding(known[0][2].mesh, PartitionSpec())

    def place(path: tuple, value: Any) -> NamedSharding:
        for of_param, shape, sharding in known:
            if path[-len(of_param) :] == of_param and value.shape == shape:
                return sharding
        return whole

    return jax.tree_util.tree_map_with_path(place, state)


def _written(path: tuple) -> str:
    return "/".join(str(key.key) for key in path)
