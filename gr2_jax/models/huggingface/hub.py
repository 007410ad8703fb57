"""Locates a model's files: a local folder, or transformers' cache, downloading into it where needed."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from gr2_jax.buckets import local_copy
from gr2_jax.errors import UserError, install
from gr2_jax.models.huggingface.config import CONFIG
from gr2_jax.models.huggingface.reading import INDEX, WEIGHTS, how_to_save_again, read_index

# files that belong to a model beside its weights: the tokenizer's, and the settings for generation
COMPANIONS = (
    "spiece.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
)
MODULES = "modules.json"
SENTENCE_COMPANIONS = ("tokenizer.json", MODULES, "sentence_bert_config.json", "1_Pooling/config.json")
"""Those of a sentence encoder."""


def local_directory(source: str | os.PathLike, companions: Sequence[str] = COMPANIONS) -> Path:
    """`source` itself if it is a folder; otherwise the cache folder of the hub model of that name, downloaded once.

    A hub name is a string such as "google-t5/t5-base". HF_HOME, HF_HUB_OFFLINE and the like are respected.

    Raises:
        UserError: `source` is neither a folder nor the name of a model in the hub or the cache that has a config and
            safetensors weights.
    """
    path = local_copy(source)
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(f"{path} is a file; name the folder that holds the model")
    if not isinstance(source, str) or not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", source):
        raise UserError(f"there is no folder {path}")
    return _from_hub(source, companions)


def sentence_encoder_directory(source: str | os.PathLike) -> Path:
    """The same for a sentence encoder. Raises `UserError` also where the cache cannot say whether a hub's model has
    modules beside its states, such as a pooling."""
    folder = local_directory(source, SENTENCE_COMPANIONS)
    if local_copy(source).is_dir() or (folder / MODULES).is_file():
        return folder
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

    if try_to_load_from_cache(str(source), MODULES, revision=folder.name) is not _CACHED_NO_EXIST:
        raise UserError(
            f"'{source}' is in the cache without its {MODULES}, which says how its vectors are made: try again with a "
            "network"
        )
    return folder


def _from_hub(name: str, companions: Sequence[str]) -> Path:
    config = _fetch(name, CONFIG, None)
    if config is None:
        raise UserError(f"there is no folder {name} here, and on the Hugging Face hub '{name}' has no {CONFIG}")
    directory = config.parent
    # the same revision for every file, even if a new one is uploaded meanwhile
    revision = directory.name
    if _fetch(name, WEIGHTS, revision) is None:
        index = _fetch(name, INDEX, revision)
        if index is None:
            raise UserError(
                f"'{name}' has no safetensors weights in the cache, or on the Hugging Face hub if that was reachable: "
                f"try again with a network, or {how_to_save_again(name)}"
            )
        for shard in read_index(index):
            _fetch(name, shard, revision)
    for file in companions:
        _fetch(name, file, revision)
    return directory


def _fetch(name: str, file: str, revision: str | None) -> Path | None:
    """The file in the cache, or None if the model has no such file."""
    try:
        from transformers.utils import cached_file
    except ModuleNotFoundError as error:
        raise UserError(
            f"there is no folder {name} here, and to download from the Hugging Face hub {error.name} is needed: "
            f"{install('huggingface')}"
        ) from error
    try:
        found = cached_file(name, file, revision=revision, _raise_exceptions_for_missing_entries=file == CONFIG)
    except Exception as error:  # the HTTP client's errors come through unwrapped
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"there is no folder {name} here, and the Hugging Face hub did not provide it: {reason}"
        ) from error
    return None if found is None else Path(found)
