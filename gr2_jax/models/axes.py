"""Logical axis names: what each dimension of a parameter or an activation means, before any mesh is known.

Names follow T5X, except `activation_embed`. Parameters: `vocab`, `embed`, `joined_kv` (heads x kv), `mlp`, `heads`,
`relpos_buckets`, `layers` where layers are scanned, and `grades` of a learnable penalty. Activations: `batch`, `docids`
(the K sequences of a query), `length`, `activation_embed`, `heads`, `kv`, `mlp`, `vocab`. The width of activations is
not called `embed`, because fsdp splits the parameters' `embed` along the mesh axis that splits `batch`. One table of
rules, given around the computation, maps names to mesh axes:

    rules = [("batch", "data"), ("mlp", "tensor"), ("embed", None), ...]
    with jax.set_mesh(mesh), flax.linen.logical_axis_rules(rules):
        jax.jit(step, in_shardings=(param_shardings(params, mesh, rules), ...))
"""

import math
from collections.abc import Sequence

import jax
from flax import linen as nn
from flax.linen.spmd import RulesFallback
from jax.sharding import Mesh, PartitionSpec

# the end of a parameter's path -> its axes
_PARAMETERS = {
    ("query", "kernel"): ("embed", "joined_kv"),
    ("key", "kernel"): ("embed", "joined_kv"),
    ("value", "kernel"): ("embed", "joined_kv"),
    ("out", "kernel"): ("joined_kv", "embed"),
    ("wi", "kernel"): ("embed", "mlp"),
    ("gate", "kernel"): ("embed", "mlp"),
    ("wo", "kernel"): ("mlp", "embed"),
    ("embedding", "embedding"): ("vocab", "embed"),
    ("output_embedding",): ("vocab", "embed"),
    ("relative_bias", "embedding"): ("relpos_buckets", "heads"),
    ("scale",): ("embed",),
    ("projection", "kernel"): ("embed", "mlp"),
    ("projection", "bias"): ("mlp",),
    ("direction",): ("embed",),
    ("penalty",): ("grades",),
}


def logical_axes(params: dict) -> dict:
    """The axis names of every parameter, as a tree of `PartitionSpec`; scanned layers have a leading `layers`.

    Raises:
        KeyError: A parameter has no names; it would silently be replicated.
    """
    return jax.tree_util.tree_map_with_path(lambda path, value: _axes([key.key for key in path], value.ndim), params)


def _axes(path: list[str], dimensions: int) -> PartitionSpec:
    for end, axes in _PARAMETERS.items():
        stacked = ("layers",) * ("layers" in path)
        if tuple(path[-len(end) :]) == end and len(stacked + axes) == dimensions:
            return PartitionSpec(*stacked, *axes)
    raise KeyError(f"parameter {'/'.join(path)} of {dimensions} dimensions has no logical axes")


def param_shardings(params: dict, mesh: Mesh, rules: Sequence[tuple[str, str | tuple[str, ...] | None]]) -> dict:
    """The sharding of every parameter on `mesh`; raises `ValueError` for an axis without a rule, as activations do."""
    axes, known = logical_axes(params), {name for name, _ in rules}
    for path, names in jax.tree_util.tree_leaves_with_path(axes, is_leaf=lambda x: isinstance(x, PartitionSpec)):
        for name in names:
            if name not in known:
                raise ValueError(f"axis '{name}' of parameter {'/'.join(key.key for key in path)} has no rule")
    return nn.logical_to_mesh_sharding(axes, mesh, rules)


def constrain(x: jax.Array, *axes: str) -> jax.Array:
    """`x`, sharded by the current rules; unchanged without rules or mesh. An axis without a rule is an error."""
    return nn.with_logical_constraint(x, axes, fallback=RulesFallback.RAISE_ERROR)


def mesh_axes(name: str, size: int) -> tuple[str, ...]:
    """The axes of the current mesh that split `size` rows of a logical axis by the current rules; none without a mesh
    or rules, or where the rows do not divide evenly."""
    mesh, rules = jax.sharding.get_abstract_mesh(), dict(nn.get_logical_axis_rules())
    axes = rules.get(name) or ()
    axes = tuple(axis for axis in ((axes,) if isinstance(axes, str) else axes) if axis in mesh.shape)
    return axes if parts_of(axes) > 1 and size % parts_of(axes) == 0 else ()


def parts_of(axes: tuple[str, ...]) -> int:
    """Into how many parts axes of the current mesh split an array."""
    return math.prod(jax.sharding.get_abstract_mesh().shape[axis] for axis in axes)
