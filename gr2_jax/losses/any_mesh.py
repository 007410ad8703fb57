"""Makes the losses work on a mesh with Explicit axes (the default of `jax.make_mesh`) as on one with Auto axes."""

import functools
import inspect
from collections.abc import Callable

import jax
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec

Rows = int | None | tuple[int | None, ...]


def on_any_mesh(rows: Rows = None) -> Callable:
    """A decorator: on a mesh with Explicit axes, the compiler chooses the shardings in the function, as on Auto axes.

    Without it, JAX refuses the product of queries and docids that are sharded along the same axis. `rows` is the index
    of the argument whose first dimension, and its sharding, the result shares; None: the result is replicated. A tuple
    holds one entry per result.
    """

    def decorate(function: Callable) -> Callable:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def anywhere(*args, **options):
            arrays = {name: value for name, value in options.items() if hasattr(value, "dtype")}
            mesh = _explicit_mesh([*args, *arrays.values()])
            if mesh is None:
                return function(*args, **options)

            given = tuple(signature.bind(*args, **options).arguments.values())

            def place(argument: int | None) -> NamedSharding:
                spec = () if argument is None else jax.typeof(given[argument]).sharding.spec[:1]
                return NamedSharding(mesh, PartitionSpec(*spec))

            others = {name: value for name, value in options.items() if name not in arrays}
            return jax.sharding.auto_axes(
                lambda args, arrays: function(*args, **arrays, **others),
                out_sharding=tuple(map(place, rows)) if isinstance(rows, tuple) else place(rows),
            )(args, arrays)

        return anywhere

    return decorate


def _explicit_mesh(values: list) -> AbstractMesh | None:
    meshes = (jax.typeof(value).sharding.mesh for value in values if hasattr(value, "dtype"))
    return next((mesh for mesh in meshes if mesh.explicit_axes), None)
