"""The parameters of a retrieval model as one safetensors file of float32, under the names of our tree.

A name is a parameter's path, such as `t5/decoder/layer_0/cross_attention/key/kernel`. Layers are unrolled, whether the
model scans them or not.
"""

from pathlib import Path

import numpy as np
from flax import traverse_util

from gr2_jax.errors import UserError
from gr2_jax.files import replacing
from gr2_jax.models.config import T5Config
from gr2_jax.models.huggingface.reading import WEIGHTS, opened
from gr2_jax.models.huggingface.tensors import check_shapes, tensors
from gr2_jax.models.stack import stack_layers, unstack_layers


def write_parameters(directory: Path, config: T5Config, params: dict) -> None:
    """Writes model.safetensors into `directory`; the same parameters give the same bytes."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    flat = traverse_util.flatten_dict(unstack_layers(params) if config.scan_layers else params, sep="/")
    values = {name: np.ascontiguousarray(value, np.float32) for name, value in flat.items()}
    path = directory / WEIGHTS
    check_shapes(path, {name: value.shape for name, value in values.items()}, parameter_shapes(config))
    with replacing(path) as partial:
        try:
            save_file(values, partial, metadata={"format": "flax"})
            partial.chmod(0o644)  # the library lets its owner alone read it
        except SafetensorError as error:
            raise UserError(f"cannot write {path}: {error}") from error


def read_parameters(directory: Path, config: T5Config) -> dict:
    """The parameters of a `GR2` of this config from model.safetensors in `directory`, as NumPy arrays.

    Raises:
        UserError: The file is missing, damaged, shorter than its header says, or not of this config: names and shapes
            are compared before a value is read.
    """
    with opened(directory) as weights:
        expected = parameter_shapes(config)
        check_shapes(weights.listing, {name: weights.shape(name) for name in weights.places}, expected)
        params = traverse_util.unflatten_dict({name: weights.float32(name) for name in expected}, sep="/")
    return stack_layers(params) if config.scan_layers else params


def parameter_shapes(config: T5Config) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every parameter of a `GR2` of this config, without a trace of the model: a config may ask for
    more than any machine has."""
    ours = {"/".join(("t5", *path)): (path[-1], shape) for path, shape in tensors(config).values()}
    shapes = {name: shape[::-1] if last == "kernel" else shape for name, (last, shape) in ours.items()}
    width = config.d_model
    return shapes | {"head/projection/kernel": (width, width), "head/projection/bias": (width,)}
