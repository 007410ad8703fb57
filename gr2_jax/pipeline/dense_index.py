"""A dense row on disk: the vectors of its documents beside its checkpoints, and searching with them."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, Int

from gr2_jax.config import Experiment
from gr2_jax.data.vocabulary import pad_rows
from gr2_jax.errors import UserError
from gr2_jax.evaluation.dense import DenseIndex
from gr2_jax.models import T5Config
from gr2_jax.models.bi_encoder import BiEncoder
from gr2_jax.pipeline.prepare import load_tokenizer, read_corpus
from gr2_jax.pipeline.trained import refuse_others
from gr2_jax.training.checkpoints import restore_params
from gr2_jax.workdir import STAGE_FILE, Workdir, read_json

VECTORS = "vectors.npy"
_DOCUMENTS_AT_ONCE, _QUERIES_AT_ONCE = 256, 64


def initial_params(model: BiEncoder, seed: int) -> dict:
    """Random parameters of the model's shapes."""
    return model.init(jax.random.key(seed), np.ones((1, 2), int))["params"]


def trained_bi_encoder(directory: Path, config: T5Config) -> tuple[BiEncoder, dict]:
    """The model and parameters of the newest checkpoint in `directory`."""
    model = BiEncoder(config)
    return model, restore_params(directory, jax.eval_shape(partial(initial_params, model, 0)))[0]


def write_vectors(directory: Path, model: BiEncoder, params: dict, tokens: Int[np.ndarray, "N S"]) -> None:
    """The documents' vectors, float32 [N, D], written part by part beside `directory`/vectors.npy and renamed."""
    partial_path, start = directory / f"{VECTORS}.partial", 0
    shape = (len(tokens), model.config.d_model)
    vectors = np.lib.format.open_memmap(partial_path, mode="w+", dtype=np.float32, shape=shape)
    for part in _encoder(model, params, _DOCUMENTS_AT_ONCE)(tokens):
        vectors[start : start + len(part)] = part
        start += len(part)
    vectors.flush()
    os.replace(partial_path, directory / VECTORS)


def load_dense(experiment: Experiment, workdir: Workdir, name: str, train_print: str) -> DenseIndex:
    """Searches with what `gr2_jax.pipeline.dense.train_dense` left for the row `name`."""
    directory = workdir.checkpoints(f"{name}-{train_print}")
    if not (directory / STAGE_FILE).is_file():
        raise UserError(f"{name} has no vectors of its documents yet: run the run's own command again to finish it")
    tokenizer, end = load_tokenizer(experiment, workdir), experiment.retrieval.model.input_end
    refuse_others(workdir, directory, {"vocabulary": tokenizer.fingerprint})
    model, params = trained_bi_encoder(directory, T5Config(**read_json(directory / STAGE_FILE)["t5"]))
    encode = _encoder(model, params, _QUERIES_AT_ONCE)

    def encode_texts(texts: Sequence[str]) -> Float[np.ndarray, "Q D"]:
        tokens = pad_rows(tokenizer.encode_batch(texts), experiment.evaluation.query_length, eos=end)
        return np.concatenate(list(encode(tokens)))

    return DenseIndex(
        doc_ids=[document.doc_id for document in read_corpus(workdir)[0].documents],
        vectors=np.load(directory / VECTORS, mmap_mode="r"),
        encode=encode_texts,
        model_bytes=sum(leaf.nbytes for leaf in jax.tree.leaves(params)),
    )


def _encoder(model: BiEncoder, params: dict, size: int) -> Callable[[np.ndarray], Iterator[np.ndarray]]:
    """Tokens [n, S] -> vectors [at most `size`, D], part by part; compiled once for each S."""
    apply = jax.jit(lambda params, tokens: model.apply({"params": params}, tokens))

    def encode(tokens: Int[np.ndarray, "n S"]) -> Iterator[Float[np.ndarray, "m D"]]:
        for start in range(0, len(tokens), size):
            part = tokens[start : start + size]
            filled = np.pad(part, [(0, size - len(part)), (0, 0)])
            yield np.asarray(apply(params, filled))[: len(part)]

    return encode
