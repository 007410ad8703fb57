"""Matrix products with the precision that T5 trains in: inputs in the activations' type, sums in float32."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

PRODUCT = "product"  # the results' name for `jax.checkpoint_policies.save_only_these_names`


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def matmul(x: Float[Array, "... I"], weights: Float[Array, "I O"], dtype: str, out_dtype: str) -> Float[Array, "... O"]:
    """x @ weights with both cast to `dtype`, summed in float32 by the hardware, returned as `out_dtype`.

    The weights' gradient is never rounded to `dtype`: by default JAX would give it the type of the cast weights, and a
    pod would sum bfloat16 gradients. The cotangent is rounded, so that no backward product mixes two types: hardware
    would compute it in the wider one. Reverse mode only: `jax.jvp` does not work through it.
    """
    return _forward(x, weights, dtype, out_dtype)[0]


def _contract(a: Array, b: Array, dtype: str, a_axis: int, b_axis: int, out_dtype: str = "float32") -> Array:
    # out_dtype is the product's own: one that is rounded afterwards would be written and read again in float32. Devices
    # that split the contracted axis add their sums in it, too.
    axes = (((a_axis,), (b_axis,)), ((), ()))
    return lax.dot_general(a.astype(dtype), b.astype(dtype), axes, preferred_element_type=jnp.dtype(out_dtype))


def _forward(x, weights, dtype, out_dtype):
    # The name is on the product, not on `matmul`, because a policy does not see into a custom_vjp.
    return checkpoint_name(_contract(x, weights, dtype, x.ndim - 1, 0, out_dtype), PRODUCT), (x, weights)


def _backward(dtype, out_dtype, saved, cotangent):
    x, weights = saved
    to_x = _contract(cotangent, weights, dtype, x.ndim - 1, 1, x.dtype)
    # as matrices: for a sum over several axes, XLA would first write a transposed copy of x
    rows, to_rows = (y.reshape(-1, y.shape[-1]) for y in (x, cotangent))
    return to_x, _contract(rows, to_rows, dtype, 0, 0).astype(weights.dtype)


matmul.defvjp(_forward, _backward)
