import jax
import numpy as np
import pytest


def _random_params(module, *args, seed=0):
    """Parameters of a size that keeps activations near 1, drawn by numpy: `init` would compile hundreds of draws.

    Norm scales and the pooling direction are drawn as well, where `init` has ones and zeros that could hide a mistake.
    """
    rng = np.random.default_rng(seed)

    def draw(path, shape):
        value = rng.normal(size=shape.shape).astype(shape.dtype)
        if path[-1].key == "kernel":
            return value / np.float32(np.sqrt(shape.shape[-2]))  # by inputs: a scanned stack has an axis before them
        return 1 + 0.2 * value if path[-1].key == "scale" else value

    shapes = jax.eval_shape(module.init, jax.random.key(0), *args)["params"]
    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.fixture(scope="session")
def random_params():
    return _random_params
