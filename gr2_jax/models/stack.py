"""A stack of equal layers: unrolled (`layer_0`, `layer_1`, ...) or scanned (`layers`, arrays with a leading axis).

A scanned stack compiles one layer for all, so that large models compile in seconds; an unrolled stack lets the compiler
see across layers. Both compute the same; `stack_layers` and `unstack_layers` convert the parameters.

A layer's methods are `(x, own, *shared) -> (x, result)`: `own` and the results hold one entry per layer, in a tuple if
unrolled, along an axis if scanned.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from gr2_jax.models.config import T5Config
from gr2_jax.models.divided import gathered
from gr2_jax.models.matmul import PRODUCT

_SCANNED, _UNROLLED = "layers", "layer_"
_POLICIES = {
    "minimal": jax.checkpoint_policies.save_only_these_names(PRODUCT),
    "full": jax.checkpoint_policies.nothing_saveable,
}


class Method(NamedTuple):
    """How a layer's method is scanned: the layer axis of its `own` argument and of its result, the number of shared
    arguments."""

    shared: int
    own: Any = 0
    result: int = 0


def make_layers(
    layer: type[nn.Module], config: T5Config, count: int, methods: dict[str, Method]
) -> list[nn.Module] | nn.Module:
    """`count` layers for `run_layers`. `__call__`'s last shared argument is `deterministic`, a Python bool."""
    layer = gathered(layer, methods)
    if config.remat != "none":
        layer = nn.remat(
            layer,
            policy=_POLICIES[config.remat],
            prevent_cse=not config.scan_layers,  # a scan keeps its forward and backward bodies apart anyway
            static_argnums=(2 + methods["__call__"].shared,),  # after self, x and own
        )
    if not config.scan_layers:
        return [layer(config, name=f"{_UNROLLED}{i}") for i in range(count)]
    scans = {name: _scan_arguments(method, count) for name, method in methods.items()}
    return nn.scan(layer, methods=scans)(config, name=_SCANNED)


def _scan_arguments(method: Method, count: int) -> dict[str, Any]:
    return {
        "variable_axes": {"params": 0, "intermediates": 0},
        "split_rngs": {"params": True, "dropout": True},
        "in_axes": (method.own, *(nn.broadcast,) * method.shared),
        "out_axes": method.result,
        "length": count,
    }


def run_layers(layers: list[nn.Module] | nn.Module, method: str, x: Any, own: Any, *shared: Any) -> tuple[Any, Any]:
    """Passes x through every layer's `method`; returns the last x and each layer's result."""
    if isinstance(layers, nn.Module):
        return getattr(layers, method)(x, own, *shared)
    results = []
    for i, layer in enumerate(layers):
        x, result = getattr(layer, method)(x, None if own is None else own[i], *shared)
        results.append(result)
    return x, tuple(results)


def stack_layers(params: dict) -> dict:
    """Converts the parameters of unrolled layers to those of scanned layers; NumPy arrays stay NumPy arrays."""
    if not isinstance(params, dict):
        return params
    kept = {name: stack_layers(value) for name, value in params.items() if not name.startswith(_UNROLLED)}
    count = len(params) - len(kept)
    if count:
        layers = [params[f"{_UNROLLED}{i}"] for i in range(count)]
        kept[_SCANNED] = jax.tree.map(
            lambda *values: (np if isinstance(values[0], np.ndarray) else jnp).stack(values), *layers
        )
    return kept


def unstack_layers(params: dict) -> dict:
    """The inverse of `stack_layers`."""
    if not isinstance(params, dict):
        return params
    kept = {name: unstack_layers(value) for name, value in params.items() if name != _SCANNED}
    if _SCANNED in params:
        count = len(jax.tree.leaves(params[_SCANNED])[0])
        kept |= {f"{_UNROLLED}{i}": jax.tree.map(lambda x, i=i: x[i], params[_SCANNED]) for i in range(count)}
    return kept
