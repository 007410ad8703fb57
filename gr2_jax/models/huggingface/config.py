"""Converts between the `config.json` of a T5 or mT5 and our `T5Config`."""

import math
from pathlib import Path
from typing import Any

from gr2_jax.errors import UserError
from gr2_jax.files import read_json
from gr2_jax.models.config import MOST, MOST_LAYERS, T5Config

CONFIG = "config.json"
# our field -> theirs; the other fields of T5Config say how a model is computed, not what it is
_THEIRS = {
    "vocab_size": "vocab_size",
    "d_model": "d_model",
    "d_kv": "d_kv",
    "d_ff": "d_ff",
    "num_encoder_layers": "num_layers",
    "num_decoder_layers": "num_decoder_layers",
    "num_heads": "num_heads",
    "feed_forward": "feed_forward_proj",
    "relative_attention_num_buckets": "relative_attention_num_buckets",
    "relative_attention_max_distance": "relative_attention_max_distance",
    "dropout_rate": "dropout_rate",
    "layer_norm_epsilon": "layer_norm_epsilon",
}
_T5 = {
    "vocab_size": 32128,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 2048,
    "num_encoder_layers": 6,
    "num_heads": 8,
    "feed_forward": "relu",
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "dropout_rate": 0.1,
    "layer_norm_epsilon": 1e-6,
}
_MT5 = {"vocab_size": 250112, "d_ff": 1024, "num_encoder_layers": 8, "num_heads": 6, "feed_forward": "gated-gelu"}
# by model_type, the values of fields that a file leaves out
_DEFAULTS = {"t5": _T5, "mt5": _T5 | _MT5}
_FEED_FORWARDS = ("relu", "gated-gelu")
# what our T5 assumes; a file may leave these fields out
_REQUIRED = {"pad_token_id": 0, "decoder_start_token_id": 0}


def architecture(config: T5Config) -> dict[str, Any]:
    """The fields that say what the model is, under our names."""
    return {name: getattr(config, name) for name in (*_THEIRS, "tie_word_embeddings")}


def read_config(path: Path) -> T5Config:
    """The model that a `config.json` describes; raises `UserError` if it is not a T5 or mT5 that we support."""
    return parse_config(read_json(path), path)


def parse_config(raw: Any, path: Path) -> T5Config:
    if not isinstance(raw, dict) or "model_type" not in raw:
        raise UserError(f"{path} is not a T5 config: it has no 'model_type'")
    kind = raw["model_type"]
    if kind not in ("t5", "mt5"):
        raise UserError(f"{path} is not a supported T5 config: model_type is {kind!r}, not 't5' or 'mt5'")
    for name, value in _REQUIRED.items():
        if raw.get(name, value) != value:
            raise UserError(f"{path} is not a supported T5 config: {name} is {raw[name]!r}, not {value!r}")
    values = {ours: raw.get(theirs, _DEFAULTS[kind].get(ours)) for ours, theirs in _THEIRS.items()}
    # null means as many layers as the encoder has
    if values["num_decoder_layers"] is None:
        values["num_decoder_layers"] = values["num_encoder_layers"]
    for ours, theirs in _THEIRS.items():
        check_value(path, theirs, ours, values[ours])
    return T5Config(tie_word_embeddings=_scaled(raw), **values)


def _scaled(raw: dict) -> bool:
    """Whether the output embedding is the input's, rescaled, as in our tied model.

    transformers 5 writes tie_word_embeddings=true for every model; `scale_decoder_outputs` then says that 1.1 does not
    rescale, and mT5 never rescales.
    """
    return raw["model_type"] == "t5" and bool(raw.get("scale_decoder_outputs", raw.get("tie_word_embeddings", True)))


def head_may_be_absent(path: Path) -> bool:
    """Whether a missing output embedding means the input's, not rescaled (which our tied model cannot express)."""
    return read_json(path).get("tie_word_embeddings") is True


def check_value(path: Path, label: str, field: str, value: Any) -> None:
    """Raises `UserError` unless `value` is valid for our `field`; `label` is the field's name in the file."""
    like = _T5.get(field, 0)
    if field == "feed_forward":
        if value not in _FEED_FORWARDS:
            raise UserError(f"{path}: {label} is {value!r}, not one of {', '.join(_FEED_FORWARDS)}")
    elif type(value) not in {type(like), int} or not 0 <= value < math.inf:
        raise UserError(f"{path}: {label} is {value!r}, not a non-negative {type(like).__name__}")
    elif value > (MOST_LAYERS if field.endswith("_layers") else MOST):
        raise UserError(f"{path}: {label} is {value!r}, which no T5 has")


def hf_config(config: T5Config) -> dict[str, Any]:
    """A `config.json` for a model of ours; an mT5 becomes the equivalent T5 1.1."""
    constants = {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}
    return _REQUIRED | constants | {"eos_token_id": 1} | hf_fields(config)


def hf_fields(config: T5Config) -> dict[str, Any]:
    """The architecture under Hugging Face's field names."""
    values = {theirs: getattr(config, ours) for ours, theirs in _THEIRS.items()}
    return values | {"tie_word_embeddings": config.tie_word_embeddings}
