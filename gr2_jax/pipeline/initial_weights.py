"""What a model starts from: trained weights, or what the corpus says about its tokens."""

import contextlib
import hashlib
import os
from pathlib import Path

import jax
import numpy as np
from flax import traverse_util
from jaxtyping import Float

from gr2_jax.array_files import load_all_arrays, load_arrays
from gr2_jax.data.lsa import TokenSemantics
from gr2_jax.errors import UserError
from gr2_jax.experiment import ModelConfig
from gr2_jax.files import reading
from gr2_jax.models import GR2, T5Config, load_t5, lsa_start, stack_layers, start_from_t5, unstack_layers
from gr2_jax.models.checkpoint import model_directory
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import reading_stage

_END = 1 << 20  # bytes at a file's beginning and end
HEAD_FILE = "head.npz"
SENTINEL_VECTORS = "sentinel_vectors.npz"


def random_params(model: GR2, seed: int) -> dict:
    """Random parameters of the model's shapes, in the host's memory: one device may be too small for them."""
    with _on_host():
        return model.init(jax.random.key(seed), np.ones((1, 2), int), np.ones((1, 1, 2), int))["params"]


def _on_host() -> contextlib.AbstractContextManager:
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:  # JAX_PLATFORMS leaves it out
        return contextlib.nullcontext()


def starting_params(params: dict, model: ModelConfig, config: T5Config, run: Run, docids: Path | None = None) -> dict:
    """`params` as initialised, from the weights that `model` names, or from the run's own corpus (`lsa_start`).

    A docid scheme may bring vectors for the sentinels that it writes, in the folder `docids`.
    """
    if not model.starts_from_lsa:
        return from_weights(params, model, config)
    vectors = docid_token_vectors(run.semantics, docids)
    started = lsa_start(unstack_layers(params), config, vectors, run.semantics.log_idf)
    return stack_layers(started) if config.scan_layers else started


def from_weights(params: dict, model: ModelConfig, config: T5Config) -> dict:
    """`params` with the values of the weights that `model` names, where it names any; with the projection head that
    pre-training left beside the T5, where there is one."""
    if model.weights is None:
        return params
    params = start_from_t5(params, config, load_t5(model.weights)[1])
    head = model_directory(model.weights) / HEAD_FILE
    if "head" not in params or not head.is_file():
        return params
    with reading(head):
        found = traverse_util.unflatten_dict(load_all_arrays(head, (1, 2)), sep="/")
        shapes = [jax.tree.map(np.shape, tree) for tree in (params["head"], found)]
        if shapes[0] != shapes[1]:
            raise UserError(f"{head} holds {shapes[1]}, and the model has {shapes[0]}")
    return params | {"head": found}


def docid_token_vectors(semantics: TokenSemantics, docids: Path | None) -> Float[np.ndarray, "V F"]:
    """The tokens' vectors, with those of the sentinels that the docids in this folder are written in."""
    vectors = np.array(semantics.token_vectors)
    if docids is not None and (docids / SENTINEL_VECTORS).is_file():
        with reading_stage(docids, SENTINEL_VECTORS) as path:
            file = load_arrays(path, {"ids": 1, "vectors": 2})
            vectors[file["ids"]] = file["vectors"]
    return vectors


def weights_fingerprint(model: ModelConfig) -> str | None:
    """The fingerprint of the files that `model` names, by their names, sizes and both ends: other weights are another
    run."""
    if model.weights is None:
        return None
    folder, seen = model_directory(model.weights), hashlib.blake2b(digest_size=16)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            seen.update(f"{path.relative_to(folder)} {size} ".encode())
            for start in (0, max(0, size - _END)):
                file.seek(start)
                seen.update(file.read(_END))
    return seen.hexdigest()
