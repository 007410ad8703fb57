"""A T5 checkpoint: `t5.json`, `params/` by orbax (unrolled layers, float32), and the tokenizer's files."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
from flax import traverse_util

from gr2_jax.checksums import check_files, checksums_of, sealed, unsealed
from gr2_jax.errors import UserError
from gr2_jax.files import new_directory, read_json, reading
from gr2_jax.models.config import T5Config
from gr2_jax.models.huggingface import load_hf_t5
from gr2_jax.models.huggingface.config import CONFIG, architecture, check_value, read_config
from gr2_jax.models.huggingface.hub import COMPANIONS, local_directory
from gr2_jax.models.huggingface.record import RECORD, record_of
from gr2_jax.models.huggingface.writing import check_params
from gr2_jax.models.orbax_border import check_claim, silence

_DESCRIPTION, _PARAMS, _FORMAT = "t5.json", "params", 1


def is_checkpoint(directory: Path) -> bool:
    return (directory / _DESCRIPTION).is_file()


def load_t5(source: str | os.PathLike) -> tuple[T5Config, dict]:
    """Reads a checkpoint of `save_t5`, a Hugging Face directory or a model of the Hugging Face hub.

    Returns:
        The config, and `params` as `T5(config).init(...)["params"]` has them, unrolled: numpy arrays, float32.

    Raises:
        UserError: The model is missing, damaged or of another kind (see `load_hf_t5`).
    """
    directory = model_directory(source)
    return _load(directory) if is_checkpoint(directory) else load_hf_t5(directory)


def load_t5_config(source: str | os.PathLike) -> T5Config:
    """The config of a model that `load_t5` reads, without its weights."""
    directory = model_directory(source)
    if is_checkpoint(directory):
        return _read_description(directory / _DESCRIPTION)[0]
    return read_config(directory / CONFIG)


def model_directory(source: str | os.PathLike) -> Path:
    """The folder of a model that `load_t5` reads; for a hub name, in the cache. Raises `UserError` without a model."""
    directory = local_directory(source)
    if not is_checkpoint(directory) and not (directory / CONFIG).is_file():
        raise UserError(f"{directory} holds no model: neither {_DESCRIPTION} (ours) nor {CONFIG} (Hugging Face's)")
    return directory


def save_t5(
    directory: str | os.PathLike, config: T5Config, params: dict, source: str | os.PathLike | None = None
) -> None:
    """Writes a checkpoint, whole or not at all.

    Args:
        directory: A new folder.
        params: Those of `T5(config)`, unrolled; kept in float32.
        source: What the model was loaded from, possibly before training. Its tokenizer's files are copied. For a
            Hugging Face model the layout of its files is recorded, so that `gr2 convert` can write them again.

    Raises:
        UserError: `directory` is occupied or cannot be written, or `params` are not those of `T5(config)`.
    """
    import orbax.checkpoint as ocp

    check_params(config, params)
    origin = None if source is None else local_directory(source)
    record = None if origin is None else record_of(origin)
    values = traverse_util.unflatten_dict(
        {path: np.asarray(value, np.float32) for path, value in traverse_util.flatten_dict(params).items()}
    )
    with new_directory(Path(directory)) as folder:
        silence()
        with ocp.StandardCheckpointer(multiprocessing_options=_alone()) as checkpointer:
            checkpointer.save(folder / _PARAMS, values)
        if record is not None:
            record.save(folder / RECORD)
        if origin is not None:
            copy_companions(origin, folder)
        files = {str(path.relative_to(folder)): path.stat().st_size for path in _files(folder / _PARAMS)}
        description = {"format": _FORMAT, "config": architecture(config), "files": files}
        description |= {"crc32": checksums_of(folder, _files(folder / _PARAMS))}
        (folder / _DESCRIPTION).write_text(json.dumps(sealed(description), indent=1) + "\n")


def copy_companions(origin: Path, destination: Path) -> None:
    """Copies the tokenizer's files and generation settings that `origin` has."""
    for name in COMPANIONS:
        if (origin / name).is_file():
            shutil.copyfile(origin / name, destination / name)


def _load(directory: Path) -> tuple[T5Config, dict]:
    import orbax.checkpoint as ocp

    config, files, checksums = _read_description(directory / _DESCRIPTION)
    for name, size in files.items():
        path = directory / name
        if not path.is_file():
            raise UserError(f"{directory} is damaged: {name} is missing")
        if path.stat().st_size != size:
            raise UserError(f"{directory} is damaged: {name} has {path.stat().st_size} bytes, not {size}")
    with reading(directory):
        check_files(directory, checksums)
    folder = (directory / _PARAMS).resolve()
    silence()
    # without the standard handler, which would ask each array for its shape once more
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=_alone())
    with reading(directory / _PARAMS), ocp.Checkpointer(handler, multiprocessing_options=_alone()) as reader:
        check_claim(folder, reader.metadata(folder).item_metadata.tree)
        params = reader.restore(folder)
    try:
        check_params(config, params)
    except UserError as error:
        raise UserError(f"{directory} is damaged: {error}") from error
    return config, params


def _alone():
    """Lets every process of a job read, and one write, without waiting for the others."""
    import jax
    import orbax.checkpoint as ocp

    host = jax.process_index()
    prefix = f"t5-{host}"
    return ocp.options.MultiprocessingOptions(
        primary_host=host, active_processes={host}, barrier_sync_key_prefix=prefix
    )


def _read_description(path: Path) -> tuple[T5Config, dict[str, int], dict[str, int]]:
    """The config, and each file's size and checksum; an earlier version noted no checksums."""
    raw = read_json(path)
    if not isinstance(raw, dict) or not isinstance(raw.get("format"), int):
        raise UserError(f"{path} is damaged: it has no 'format'")
    if raw["format"] != _FORMAT:
        raise UserError(f"{path} has format {raw['format']}, but this version of gr2_jax reads format {_FORMAT}")
    raw = unsealed(raw, path)
    values, files, checksums = raw.get("config"), raw.get("files"), raw.get("crc32", {})
    expected = architecture(T5Config())
    if (
        not isinstance(values, dict)
        or values.keys() != expected.keys()
        or not isinstance(files, dict)
        or not isinstance(checksums, dict)
    ):
        raise UserError(f"{path} is damaged: it does not describe a T5")
    tied = values["tie_word_embeddings"]
    if not isinstance(tied, bool):
        raise UserError(f"{path}: tie_word_embeddings is {tied!r}, not true or false")
    for name in values.keys() - {"tie_word_embeddings"}:
        check_value(path, name, name, values[name])
    return T5Config(**values), files, checksums


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
