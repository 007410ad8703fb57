"""Reads and writes T5 weights in Hugging Face directories: `config.json` and safetensors, no torch and no pickle."""

import os
from pathlib import Path

from gr2_jax.models.config import T5Config
from gr2_jax.models.huggingface.config import CONFIG, head_may_be_absent, read_config
from gr2_jax.models.huggingface.hub import local_directory
from gr2_jax.models.huggingface.reading import read_params
from gr2_jax.models.huggingface.writing import check_params, write_plain

__all__ = ["load_hf_t5", "save_hf_t5"]


def load_hf_t5(directory: str | os.PathLike) -> tuple[T5Config, dict]:
    """Reads a T5 1.0 (tied), T5 1.1 or mT5 (untied): one `model.safetensors`, or shards with their index.

    Args:
        directory: A folder or, if no folder has that name, a model on the Hugging Face hub such as "google-t5/t5-base",
            which transformers downloads once.

    Returns:
        The config, and `params` as `T5(config).init(...)["params"]` has them, unrolled: numpy arrays, float32.

    Raises:
        UserError: No T5 config, or weights that are unreadable, truncated, missing, superfluous or of another shape;
            or a hub model that cannot be downloaded.
    """
    folder = local_directory(directory)
    config = read_config(folder / CONFIG)
    return config, read_params(folder, config, head_may_be_absent(folder / CONFIG))


def save_hf_t5(directory: str | os.PathLike, config: T5Config, params: dict) -> None:
    """Writes what `load_hf_t5` and transformers' `T5ForConditionalGeneration.from_pretrained` read, in float32.

    An mT5 is written as the equivalent T5 1.1; `save_t5` and `gr2 convert` preserve its type.

    Raises:
        UserError: `params` are not those of `T5(config)`, unrolled.
    """
    check_params(config, params)
    write_plain(Path(directory), config, params)
