"""Weights of a Hugging Face directory: one `model.safetensors`, or shards and their index. Never a pickle."""

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from gr2_jax.errors import UserError
from gr2_jax.files import read_json, reading
from gr2_jax.models.config import T5Config
from gr2_jax.models.huggingface.tensors import (
    DTYPES,
    HEAD,
    SHARED,
    UNUSED,
    aliases,
    check_shapes,
    tensors,
    transposed,
)

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@dataclasses.dataclass(frozen=True)
class Weights:
    """Open safetensors files, read tensor by tensor."""

    listing: Path  # the file that lists the tensors
    files: dict[Path, Any]
    places: dict[str, Path]  # tensor -> its file

    def get(self, name: str) -> np.ndarray:
        return self.files[self.places[name]].get_tensor(name)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.files[self.places[name]].get_slice(name).get_shape())

    def float32(self, name: str) -> np.ndarray:
        """Raises `UserError` for types that float32 may not hold exactly."""
        kind = self.files[self.places[name]].get_slice(name).get_dtype()
        if kind not in DTYPES:
            raise UserError(f"{self.places[name]}: tensor '{name}' is of type {kind}, not F32, F16 or BF16")
        return np.asarray(self.get(name), np.float32)


@contextmanager
def opened(directory: Path) -> Iterator[Weights]:
    """Raises `UserError` for files that are missing, damaged, truncated, or not as their index lists them."""
    listing, promised = directory / WEIGHTS, {}
    if not listing.is_file():
        if not (directory / INDEX).is_file():
            raise UserError(_no_weights(directory))
        listing, promised = directory / INDEX, read_index(directory / INDEX)
    with ExitStack() as stack:
        paths = [directory / file for file in promised] or [listing]
        files = {path: stack.enter_context(_opened(path, listing)) for path in paths}
        places = {name: path for path, file in files.items() for name in file.keys()}  # noqa: SIM118 (not a dict)
        for shard, names in promised.items():
            _keeps_promise(directory / shard, names, set(files[directory / shard].keys()))
        yield Weights(listing, files, places)


def read_params(directory: Path, config: T5Config, head_may_be_absent: bool) -> dict:
    """Our float32 parameters; raises `UserError` if the weights do not match `config`."""
    with opened(directory) as weights:
        copies = [name for name in aliases(config) if name in weights.places]
        names = {SHARED: copies[0]} if copies else {}
        names |= {name: name for name in weights.places if name not in copies and name not in UNUSED}
        if head_may_be_absent and copies and not config.tie_word_embeddings:
            names.setdefault(HEAD, copies[0])
        expected = tensors(config)
        check_shapes(
            weights.listing,
            {name: weights.shape(stored) for name, stored in names.items()},
            {name: tensor.shape for name, tensor in expected.items()},
            {name: weights.places[stored] for name, stored in names.items()},
        )
        _check_copies(weights, copies)
        flat = {tensor.path: transposed(tensor.path, weights.float32(names[name])) for name, tensor in expected.items()}
    return traverse_util.unflatten_dict(flat)


def read_index(path: Path) -> dict[str, list[str]]:
    """Shard -> the tensors that the index lists for it, shards in order of name."""
    raw = read_json(path)
    tensor_files = raw.get("weight_map") if isinstance(raw, dict) else None
    if not isinstance(tensor_files, dict) or not tensor_files:
        raise UserError(f"{path} is not an index of weights: it has no 'weight_map' from tensors to files")
    shards: dict[str, list[str]] = {}
    for name, file in tensor_files.items():
        if not isinstance(file, str) or Path(file).name != file:
            raise UserError(f"{path}: the file of tensor '{name}' is {file!r}, not the name of a file beside the index")
        shards.setdefault(file, []).append(name)
    return dict(sorted(shards.items()))


def how_to_save_again(name: object) -> str:
    return (
        f"where torch and transformers are installed, AutoModelForSeq2SeqLM.from_pretrained('{name}')"
        ".save_pretrained('NEW_DIRECTORY') writes them as safetensors"
    )


def _no_weights(directory: Path) -> str:
    pickles = sorted(directory.glob("pytorch_model*.bin"))
    if pickles:
        return f"the weights in {pickles[0]} are a pickle, which is never read: {how_to_save_again(directory)}"
    return f"there is no {WEIGHTS} and no {INDEX} in {directory}"


def _check_copies(weights: Weights, copies: list[str]) -> None:
    for name in copies[1:]:
        # compared as bits, so that NaN equals NaN
        first, other = (weights.float32(name).view(np.uint32) for name in (copies[0], name))
        if not np.array_equal(first, other):
            file = weights.places[name]
            raise UserError(f"{file}: '{name}' should be the same as '{copies[0]}' by config.json, but differs")


def _keeps_promise(shard: Path, promised: list[str], held: set[str]) -> None:
    for name in promised:
        if name not in held:
            raise UserError(f"{shard}: tensor '{name}' is missing, although {INDEX} lists it there")
    if held - set(promised):
        raise UserError(f"{shard}: tensor '{min(held - set(promised))}' is not in {INDEX}")


@contextmanager
def _opened(path: Path, listing: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"there is no {path}, which {listing.name} names")
    try:
        file = safe_open(path, framework="numpy")
    except SafetensorError as error:
        raise UserError(f"{path} is damaged or truncated: {error}") from error
    with file, reading(path):
        yield file
