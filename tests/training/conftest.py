import jax
import numpy as np
import pytest


def _random_params(module, *args, seed=0):
    """Parameters drawn by numpy, of a size that keeps activations near 1: `init` would compile hundreds of draws."""
    rng = np.random.default_rng(seed)

    def draw(path, shape):
        value = rng.normal(size=shape.shape).astype(shape.dtype)
        name = path[-1].key
        if name == "scale":
            return 1 + 0.2 * value
        return value / np.float32(np.sqrt(shape.shape[0])) if name in ("kernel", "direction") else value

    shapes = jax.eval_shape(module.init, jax.random.key(0), *args)["params"]
    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.fixture(scope="session")
def random_params():
    return _random_params
