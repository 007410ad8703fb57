"""Products in two precisions: against float64, and the types of inputs and results."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.models.matmul import matmul

RNG = np.random.default_rng(0)
X, W, COTANGENT = (RNG.normal(size=shape).astype(np.float32) for shape in ((2, 3, 5), (5, 4), (2, 3, 4)))


def _rounded(x, dtype):
    return np.asarray(jnp.asarray(x, dtype), np.float64)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_values_and_gradients(dtype):
    """Equal to float64 products of the rounded inputs: only the inputs are rounded, not the sums."""
    out, pull = jax.vjp(lambda x, w: matmul(x, w, dtype, "float32"), X.astype(dtype), jnp.asarray(W))
    to_x, to_w = pull(jnp.asarray(COTANGENT))
    x, w, cotangent = (_rounded(a, dtype) for a in (X, W, COTANGENT))
    np.testing.assert_allclose(out, x @ w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(to_w, np.einsum("abi,abo->io", x, cotangent), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        np.asarray(to_x, np.float64), _rounded(cotangent @ w.T, dtype), rtol=1e-2 if dtype == "bfloat16" else 1e-5
    )
    assert (out.dtype, to_x.dtype, to_w.dtype) == (jnp.float32, jnp.dtype(dtype), jnp.float32)


def test_output_in_the_type_asked_for():
    out = matmul(jnp.asarray(X, jnp.bfloat16), jnp.asarray(W), "bfloat16", "bfloat16")
    assert out.dtype == jnp.bfloat16


def test_no_product_mixes_types():
    def products(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                yield tuple(str(v.aval.dtype) for v in equation.invars), str(equation.outvars[0].aval.dtype)
            for value in equation.params.values():
                inner = getattr(value, "jaxpr", value)
                if hasattr(inner, "eqns"):
                    yield from products(inner)

    def loss(x, w):
        return jnp.sum(matmul(x, w, "bfloat16", "float32") ** 2)

    jaxpr = jax.make_jaxpr(jax.grad(loss, (0, 1)))(jnp.asarray(X, jnp.bfloat16), jnp.asarray(W)).jaxpr
    found = list(products(jaxpr))
    assert [inputs for inputs, _ in found] == [("bfloat16", "bfloat16")] * 3
    # the result, x's gradient in x's type, and the weights' gradient, which is never rounded
    assert [output for _, output in found] == ["float32", "bfloat16", "float32"]
