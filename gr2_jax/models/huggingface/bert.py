"""Reads a BERT or RoBERTa of a Hugging Face directory: `config.json` and safetensors, no torch and no pickle."""

import typing
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from gr2_jax.errors import UserError
from gr2_jax.files import read_json
from gr2_jax.models.bert import ACTIVATIONS, BertConfig
from gr2_jax.models.config import MOST, MOST_LAYERS
from gr2_jax.models.huggingface.config import CONFIG
from gr2_jax.models.huggingface.reading import Weights, opened

KINDS = ("bert", "roberta", "xlm-roberta")
_WORDS = "embeddings.word_embeddings.weight"
_EMBEDDINGS = {"words": "word_embeddings", "positions": "position_embeddings", "kinds": "token_type_embeddings"}
_DENSE = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_out": "attention.output.dense",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
}
_NORMS = {"attention_norm": "attention.output.LayerNorm", "norm": "output.LayerNorm"}


def load_bert(directory: Path) -> tuple[BertConfig, dict]:
    """The config, and `params` as `Bert(config).init(...)["params"]` has them: numpy arrays, float32. Tensors that the
    encoder's states do not need, such as a pooler's, are left alone.

    Raises:
        UserError: The directory holds no BERT, or its weights are damaged, missing or of another shape.
    """
    config = _config(directory / CONFIG)
    flat = {}
    with opened(directory) as weights:
        before = next((name.removesuffix(_WORDS) for name in weights.places if name.endswith(_WORDS)), "")
        for path, (name, shape) in _tensors(config).items():
            stored = _stored(weights, before + name)
            if weights.shape(stored) != shape:
                raise UserError(
                    f"{weights.places[stored]}: tensor '{stored}' has shape {weights.shape(stored)}, but {CONFIG} asks "
                    f"for {shape}"
                )
            values = weights.float32(stored)
            if not np.isfinite(values).all():
                raise UserError(f"{weights.places[stored]}: tensor '{stored}' holds numbers that are not finite")
            flat[path] = np.ascontiguousarray(values.T) if path[-1] == "kernel" else values
    return config, traverse_util.unflatten_dict(flat)


def _stored(weights: Weights, name: str) -> str:
    """The name that the file has for a tensor: the first BERTs were TensorFlow's, whose norms have gamma and beta."""
    older = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    found = next((known for known in (name, older) if known in weights.places), None)
    if found is None:
        raise UserError(f"{weights.listing}: tensor '{name}' is missing")
    return found


def _config(path: Path) -> BertConfig:
    raw = read_json(path)
    kind = raw.get("model_type") if isinstance(raw, dict) else None
    if kind not in KINDS:
        raise UserError(f"{path} is not of a supported encoder: model_type is {kind!r}, not {_either(KINDS)}")
    values = {name: raw[name] for name in typing.get_type_hints(BertConfig) if name in raw and name != "first_position"}
    if kind != "bert":  # RoBERTa counts positions from behind the padding's
        padding = raw.get("pad_token_id", 1)
        _check(path, "pad_token_id", int, padding, least=0)
        values["first_position"] = padding + 1
    for name, kind_of in typing.get_type_hints(BertConfig).items():
        if name in values or not hasattr(BertConfig, name):
            _check(path, name, kind_of, values.get(name), least=0 if name == "first_position" else 1)
    config = BertConfig(**values)
    if config.hidden_act not in ACTIVATIONS:
        raise UserError(f"{path}: hidden_act is {config.hidden_act!r}, not {_either(tuple(ACTIVATIONS))}")
    if config.hidden_size % config.num_attention_heads:
        raise UserError(f"{path}: {config.num_attention_heads} heads do not divide hidden_size {config.hidden_size}")
    if config.longest < 2 or raw.get("position_embedding_type", "absolute") != "absolute":
        raise UserError(f"{path} is not of a supported encoder: its positions are not absolute")
    if raw.get("is_decoder"):
        raise UserError(f"{path} is not of an encoder: is_decoder is true")
    return config


def _check(path: Path, name: str, kind: type, value: Any, *, least: int = 1) -> None:
    most = MOST_LAYERS if name == "num_hidden_layers" else MOST
    fits = {
        int: type(value) is int and least <= value <= most,
        float: type(value) in (int, float) and 0 <= value < 1,
        str: isinstance(value, str),
    }
    if not fits[kind]:
        raise UserError(f"{path}: {name} of a BERT cannot be {value!r}")


def _tensors(config: BertConfig) -> dict[tuple[str, ...], tuple[str, tuple[int, ...]]]:
    """Path in our parameters -> the tensor's name and shape in their file."""
    width, rows = config.hidden_size, (config.vocab_size, config.max_position_embeddings, config.type_vocab_size)
    found = {
        (ours, "embedding"): (f"embeddings.{theirs}.weight", (count, width))
        for (ours, theirs), count in zip(_EMBEDDINGS.items(), rows, strict=True)
    }
    found |= _norm("norm", "embeddings.LayerNorm", width)
    for i in range(config.num_hidden_layers):
        layer = {}
        for ours, theirs in _DENSE.items():
            out = config.intermediate_size if ours == "wide" else width
            into = config.intermediate_size if ours == "narrow" else width
            layer[ours, "kernel"], layer[ours, "bias"] = (f"{theirs}.weight", (out, into)), (f"{theirs}.bias", (out,))
        for ours, theirs in _NORMS.items():
            layer |= _norm(ours, theirs, width)
        found |= {(f"layer_{i}", *path): (f"encoder.layer.{i}.{name}", shape) for path, (name, shape) in layer.items()}
    return found


def _norm(ours: str, theirs: str, width: int) -> dict[tuple[str, ...], tuple[str, tuple[int, ...]]]:
    return {(ours, "scale"): (f"{theirs}.weight", (width,)), (ours, "bias"): (f"{theirs}.bias", (width,))}


def _either(names: tuple[str, ...]) -> str:
    return f"{', '.join(map(repr, names[:-1]))} or {names[-1]!r}"
