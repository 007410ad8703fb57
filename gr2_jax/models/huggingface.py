"""T5 weights from and to a local Hugging Face directory: `config.json` and one `model.safetensors`.

Torch's linear layers keep [out, in], ours [in, out]; everything else has one shape in both. safetensors is imported
only when weights are read or written.
"""

import dataclasses
import functools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gr2_jax.errors import UserError
from gr2_jax.models.config import T5Config
from gr2_jax.models.t5 import PAD_ID, T5

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
# our field -> theirs, where the names differ; a field that is absent has the same default in both
_RENAMED = {"num_encoder_layers": "num_layers", "feed_forward": "feed_forward_proj"}
_OURS_ALONE = ("dtype", "tie_word_embeddings")
# what our T5 takes for granted; a file may leave them out
_REQUIRED = {"model_type": "t5", "pad_token_id": PAD_ID, "decoder_start_token_id": PAD_ID}

# some files keep the shared embedding under other names, alone or besides
_SHARED, _HEAD = "shared.weight", "lm_head.weight"
_SHARED_ALIASES = (_SHARED, "decoder.embed_tokens.weight", "encoder.embed_tokens.weight")
# left in T5 1.0's published files by mistake, read by nobody
_UNUSED = {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"}

_ATTENTION = {"q": "query", "k": "key", "v": "value", "o": "out"}
_FEED_FORWARD = {"relu": {"wi": "wi", "wo": "wo"}, "gated-gelu": {"wi_0": "gate", "wi_1": "wi", "wo": "wo"}}


def load_hf_t5(directory: str | os.PathLike) -> tuple[T5Config, dict]:
    """Reads a T5 1.0 (tied) or 1.1 (untied) model.

    Returns:
        The config, and `params` as `T5(config).init(...)["params"]` has them: numpy arrays, float32.

    Raises:
        UserError: No T5 config, or weights that are unreadable, cut short, missing, superfluous or of another shape.
    """
    config = _read_config(Path(directory, _CONFIG))
    path = Path(directory, _WEIGHTS)
    with _opened(path) as file:
        stored = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (not a dict)
        shared = next((name for name in _SHARED_ALIASES if name in stored), _SHARED)
        copies = (set(_SHARED_ALIASES) | ({_HEAD} if config.tie_word_embeddings else set())) & set(stored) - {shared}
        held = {_SHARED if name == shared else name: shape for name, shape in stored.items()}
        _check_shapes(path, {name: held[name] for name in held if name not in copies | _UNUSED}, _hf_shapes(config))
        for name in sorted(copies):
            if not np.array_equal(file.get_tensor(name), file.get_tensor(shared)):
                raise UserError(f"{path}: '{name}' should be the same as '{shared}' by {_CONFIG}, but differs")
        flat = {
            ours: _transposed(ours, _float32(path, file, shared if theirs == _SHARED else theirs))
            for theirs, ours in _hf_names(config).items()
        }
    return config, traverse_util.unflatten_dict(flat)


def save_hf_t5(directory: str | os.PathLike, config: T5Config, params: dict) -> None:
    """Writes what `load_hf_t5` and transformers' `T5ForConditionalGeneration.from_pretrained` read, in float32.

    Raises:
        UserError: `params` are not those of `T5(config)`.
    """
    from safetensors.numpy import save_file

    directory = Path(directory)
    theirs = {ours: name for name, ours in _hf_names(config).items()}
    tensors = {
        theirs.get(ours, "/".join(ours)): _transposed(ours, np.asarray(value, np.float32))
        for ours, value in traverse_util.flatten_dict(params).items()
    }
    _check_shapes("params", {name: value.shape for name, value in tensors.items()}, _hf_shapes(config))
    directory.mkdir(parents=True, exist_ok=True)
    with _replacing(directory / _WEIGHTS) as partial:
        save_file(tensors, partial, metadata={"format": "pt"})
    with _replacing(directory / _CONFIG) as partial:
        partial.write_text(json.dumps(_hf_config(config), indent=2, sort_keys=True) + "\n")


def _fields() -> Iterator[tuple[dataclasses.Field, str]]:
    for field in dataclasses.fields(T5Config):
        if field.name not in _OURS_ALONE:
            yield field, _RENAMED.get(field.name, field.name)


def _read_config(path: Path) -> T5Config:
    try:
        raw = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(raw, dict) or "model_type" not in raw:
        raise UserError(f"{path} is not a T5 config: it has no 'model_type'")
    for name, value in _REQUIRED.items():
        if raw.get(name, value) != value:
            raise UserError(f"{path} is not a config of this T5: {name} is {raw[name]!r}, not {value!r}")
    # null stands for "as many as the encoder"
    if raw.get("num_decoder_layers") is None:
        raw["num_decoder_layers"] = raw.get("num_layers", T5Config.num_encoder_layers)
    values = {field.name: _value(path, field, name, raw) for field, name in _fields()}
    # transformers 5 always writes tie_word_embeddings=true; that 1.1 is untied shows in its unscaled outputs
    tied = bool(raw.get("scale_decoder_outputs", raw.get("tie_word_embeddings", True)))
    return T5Config(tie_word_embeddings=tied, **values)


def _value(path: Path, field: dataclasses.Field, name: str, raw: dict) -> int | float | str:
    value = raw.get(name, field.default)
    if field.name == "feed_forward":
        if value not in _FEED_FORWARD:
            raise UserError(f"{path}: {name} is {value!r}, which is none of {', '.join(_FEED_FORWARD)}")
    elif type(value) not in {type(field.default), int} or value < 0:
        raise UserError(f"{path}: {name} is {value!r}, not a non-negative {type(field.default).__name__}")
    return value


def _hf_config(config: T5Config) -> dict:
    constants = {"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True, "eos_token_id": 1}
    values = {name: getattr(config, field.name) for field, name in _fields()}
    return _REQUIRED | constants | values | {"tie_word_embeddings": config.tie_word_embeddings}


def _hf_names(config: T5Config) -> dict[str, tuple[str, ...]]:
    """Hugging Face's tensor name -> the path of our parameter."""
    names = {_SHARED: ("embedding", "embedding")}
    if not config.tie_word_embeddings:
        names[_HEAD] = ("output_embedding",)
    attention = ("SelfAttention", "self_attention", _ATTENTION)
    cross = ("EncDecAttention", "cross_attention", _ATTENTION)
    feed_forward = ("DenseReluDense", "feed_forward", _FEED_FORWARD[config.feed_forward])
    for stack, count, sublayers in (
        ("encoder", config.num_encoder_layers, [attention, feed_forward]),
        ("decoder", config.num_decoder_layers, [attention, cross, feed_forward]),
    ):
        names[f"{stack}.final_layer_norm.weight"] = (stack, "final_norm", "scale")
        if count:
            bias = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
            names[bias] = (stack, "relative_bias", "embedding")
        for i in range(count):
            for j, (theirs, ours, parts) in enumerate(sublayers):
                layer = f"{stack}.block.{i}.layer.{j}"
                names[f"{layer}.layer_norm.weight"] = (stack, f"layer_{i}", f"{ours}_norm", "scale")
                for their_part, our_part in parts.items():
                    names[f"{layer}.{theirs}.{their_part}.weight"] = (stack, f"layer_{i}", ours, our_part, "kernel")
    return names


@functools.cache
def _hf_shapes(config: T5Config) -> dict[str, tuple[int, ...]]:
    tokens = jnp.zeros((1, 1), jnp.int32)
    flat = traverse_util.flatten_dict(jax.eval_shape(T5(config).init, jax.random.key(0), tokens, tokens)["params"])
    return {name: flat[ours].shape[:: -1 if ours[-1] == "kernel" else 1] for name, ours in _hf_names(config).items()}


def _check_shapes(where: Path | str, found: dict, expected: dict) -> None:
    for kind, names in (("is missing", expected.keys() - found), ("is not part of this T5", found.keys() - expected)):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise UserError(f"{where}: tensor '{min(names)}' {kind}{more}")
    for name, shape in expected.items():
        if found[name] != shape:
            raise UserError(f"{where}: tensor '{name}' has shape {found[name]}, but the config asks for {shape}")


def _transposed(path: tuple[str, ...], value: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(value.T) if path[-1] == "kernel" else value


def _float32(path: Path, file, name: str) -> np.ndarray:
    kind = file.get_slice(name).get_dtype()
    if kind not in {"F32", "F16", "BF16"}:
        raise UserError(f"{path}: tensor '{name}' is of type {kind}, not F32, F16 or BF16")
    return np.asarray(file.get_tensor(name), np.float32)


@contextmanager
def _opened(path: Path) -> Iterator:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"no file {path} (weights in several files or in another format are not read)")
    try:
        file = safe_open(path, framework="numpy")
    except SafetensorError as error:
        raise UserError(f"{path} is damaged or cut short: {error}") from error
    with file:
        yield file


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    partial = path.with_name(path.name + ".partial")
    yield partial
    os.replace(partial, path)
