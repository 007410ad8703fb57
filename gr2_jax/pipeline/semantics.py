"""What a model starts from: trained weights, or what the corpus says about its tokens."""

import hashlib
import os
from pathlib import Path

import numpy as np
from flax import traverse_util
from jaxtyping import Float

from gr2_jax.config import ModelConfig
from gr2_jax.data.semantics import TokenSemantics
from gr2_jax.models import T5Config, load_t5, lsa_start, stack_layers, start_from_t5, unstack_layers
from gr2_jax.models.checkpoint import model_directory
from gr2_jax.workdir import Workdir

_END = 1 << 20  # bytes at a file's beginning and end
HEAD_FILE = "head.npz"
SENTINEL_VECTORS = "sentinel_vectors.npz"


def load_semantics(workdir: Workdir) -> TokenSemantics:
    with np.load(workdir.examples / "semantics.npz") as file:
        return TokenSemantics(*(file[name] for name in TokenSemantics._fields))


def starting_params(params: dict, model: ModelConfig, config: T5Config, workdir: Workdir, docids: Path | None = None):
    """`params` as initialised, from the weights that `model` names, or from the run's own corpus (`lsa_start`).

    A docid scheme may bring vectors for the sentinels that it writes.
    """
    if model.weights is not None:
        return _with_head(start_from_t5(params, config, load_t5(model.weights)[1]), model.weights)
    if not model.starts_from_lsa:
        return params
    semantics = load_semantics(workdir)
    vectors = docid_token_vectors(semantics, docids)
    started = lsa_start(unstack_layers(params), config, vectors, semantics.log_idf)
    return stack_layers(started) if config.scan_layers else started


def _with_head(params: dict, weights: str) -> dict:
    """With the projection head that pre-training left beside the T5, where there is one."""
    head = model_directory(weights) / HEAD_FILE
    if "head" not in params or not head.is_file():
        return params
    with np.load(head) as file:
        return params | {"head": traverse_util.unflatten_dict(dict(file), sep="/")}


def docid_token_vectors(semantics: TokenSemantics, docids: Path | None) -> Float[np.ndarray, "V F"]:
    """The tokens' vectors, those of the sentinels that the docids in this directory are written in included."""
    vectors = np.array(semantics.token_vectors)
    if docids is not None and (docids / SENTINEL_VECTORS).is_file():
        with np.load(docids / SENTINEL_VECTORS) as file:
            vectors[file["ids"]] = file["vectors"]
    return vectors


def weights_fingerprint(model: ModelConfig) -> str | None:
    """Of the files that `model` names, by their names, sizes and both ends: other weights are another run."""
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
