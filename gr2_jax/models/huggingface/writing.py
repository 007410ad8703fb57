"""Writes parameters as safetensors: one float32 file, or the files that a record describes."""

import base64
import json
from pathlib import Path

import numpy as np
from flax import traverse_util

from gr2_jax.errors import UserError
from gr2_jax.files import replacing
from gr2_jax.models.config import T5Config
from gr2_jax.models.huggingface.config import CONFIG, architecture, hf_config, hf_fields, parse_config
from gr2_jax.models.huggingface.reading import INDEX, WEIGHTS
from gr2_jax.models.huggingface.record import Record
from gr2_jax.models.huggingface.tensors import DTYPES, HEAD, SHARED, aliases, check_shapes, tensors, transposed


def check_params(config: T5Config, params: dict) -> None:
    """Raises `UserError` unless `params` are those of an unrolled `T5(config)`."""
    if any("layers" in params.get(stack, {}) for stack in ("encoder", "decoder")):
        raise UserError("params have scanned layers, but files hold unrolled ones: give unstack_layers(params)")
    names = {tensor.path: name for name, tensor in tensors(config).items()}
    found = {names.get(path, "/".join(path)): (path, np.shape(x)) for path, x in _flat(params).items()}
    shapes = {name: shape[::-1] if path[-1] == "kernel" else shape for name, (path, shape) in found.items()}
    check_shapes("params", shapes, {name: tensor.shape for name, tensor in tensors(config).items()})


def write_plain(directory: Path, config: T5Config, params: dict) -> None:
    """Writes one float32 file and a config; each replaces an older one when it is complete."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    flat = _flat(params)
    values = {name: _theirs(flat, tensor.path) for name, tensor in tensors(config).items()}
    directory.mkdir(parents=True, exist_ok=True)
    with replacing(directory / WEIGHTS) as partial:
        try:
            save_file(values, partial, metadata={"format": "pt"})
        except SafetensorError as error:
            raise UserError(f"cannot write {partial}: {error}") from error
    with replacing(directory / CONFIG) as partial:
        partial.write_text(json.dumps(hf_config(config), indent=2, sort_keys=True) + "\n")


def write_recorded(directory: Path, config: T5Config, params: dict, record: Record) -> bool:
    """Writes the record's files with the values of `params`, rounded to the recorded types, and its config.json.

    Returns:
        Whether the record has the same tensors in the same shapes. If not, nothing is written.

    Raises:
        UserError: A value is too large for its recorded type.
    """
    flat = _flat(params)
    recorded = parse_config(json.loads(record.config), Path(CONFIG))
    if recorded.tie_word_embeddings != config.tie_word_embeddings or not _fits(record, config, flat):
        return False
    named = {name: tensor.path for name, tensor in tensors(config).items()}
    named |= dict.fromkeys(aliases(config), named[SHARED])
    for file, rows in record.entries():
        with (directory / file).open("wb") as out:
            header = record.headers[file].encode()
            out.write(len(header).to_bytes(8, "little") + header)
            for name, kind, _ in rows:
                if name in record.unused:
                    out.write(base64.b64decode(record.unused[name]))
                else:
                    out.write(_rounded(name, _theirs(flat, named[name]), kind).tobytes())
    if record.index is not None:
        (directory / INDEX).write_bytes(record.index.encode())
    (directory / CONFIG).write_bytes(_config_text(record, recorded, config).encode())
    return True


def _flat(params: dict) -> dict[tuple[str, ...], np.ndarray]:
    return traverse_util.flatten_dict(params)


def _theirs(flat: dict, path: tuple[str, ...]) -> np.ndarray:
    return transposed(path, np.asarray(flat[path], np.float32))


def _fits(record: Record, config: T5Config, flat: dict) -> bool:
    expected = {name: tensor.shape for name, tensor in tensors(config).items()}
    stored = {name: shape for _, rows in record.entries() for name, _, shape in rows if name not in record.unused}
    held = {SHARED if name in aliases(config) else name: shape for name, shape in stored.items()}
    if HEAD in expected and HEAD not in held:
        # the file has none because it equalled the input's; if training made them differ, it must be written
        if not np.array_equal(flat[("output_embedding",)], flat[("embedding", "embedding")], equal_nan=True):
            return False
        del expected[HEAD]
    return held == expected


def _rounded(name: str, value: np.ndarray, kind: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        rounded = value.astype(DTYPES[kind])
    if kind == "F16" and np.isinf(rounded).sum() > np.isinf(value).sum():
        raise UserError(f"tensor '{name}' has values too large for float16, the type that its file has on record")
    return rounded


def _config_text(record: Record, recorded: T5Config, config: T5Config) -> str:
    """The recorded config.json, updated where `config` now differs (such as its dropout)."""
    if architecture(recorded) == architecture(config):
        return record.config
    before = hf_fields(recorded)
    changed = {name: value for name, value in hf_fields(config).items() if value != before[name]}
    return json.dumps(json.loads(record.config) | changed, indent=2) + "\n"
