"""One encoder and one decoder block as wide as T5-11b's, in bfloat16: about 470M parameters, 2 GB."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.models import T5, preset

pytestmark = pytest.mark.slow
WIDE = preset("11b", vocab_size=64, num_encoder_layers=1, num_decoder_layers=1, dtype="bfloat16")


def _params(shapes, scale):
    """Weights with T5's starting sizes times `scale`, drawn by numpy: large weights could overflow."""
    rng = np.random.default_rng(0)

    def draw(path, x):
        if path[-1].key == "scale":
            return np.ones(x.shape, np.float32)
        fan_in = 1 if path[-1].key == "embedding" else x.shape[0]
        return rng.standard_normal(x.shape, np.float32) * np.float32(scale / np.sqrt(fan_in))

    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_no_nan_at_11b_width(scale):
    rng = np.random.default_rng(1)
    queries, docids = rng.integers(2, 64, (2, 12)), rng.integers(2, 64, (2, 6))
    queries[1, 7:] = 0
    shapes = jax.eval_shape(T5(WIDE).init, jax.random.key(0), queries, docids)["params"]
    params = _params(shapes, scale)

    def loss(params, config):
        logits = T5(config).apply({"params": params}, queries, docids)
        return -jax.nn.log_softmax(logits)[..., 5].mean(), logits

    def outcome(config):
        return jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)(params, config)

    (low_loss, low), gradients = outcome(WIDE)
    assert np.isfinite(low_loss)
    assert np.isfinite(low).all()
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(gradients))
    if scale == 1.0:
        (_, full), _ = outcome(dataclasses.replace(WIDE, dtype="float32"))
        error = np.abs(low - full).max() / np.abs(full).max()
        print(f"bfloat16 against float32, 11b's width: logits differ by {error:.4f} of the largest")
        assert error < 0.05
