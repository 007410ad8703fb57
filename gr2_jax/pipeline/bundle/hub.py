"""Bundles on the Hugging Face hub: downloaded into its cache, or uploaded."""

import re
from pathlib import Path
from types import ModuleType

from gr2_jax.errors import UserError, install, reason_of
from gr2_jax.models.huggingface.reading import WEIGHTS
from gr2_jax.pipeline.bundle.contents import CARD, DOC_IDS, DOCUMENTS, RECORD, TRIE, VECTORS, VOCABULARY

_BESIDE = (".gitattributes", CARD)  # what a new repository may hold
_FILES = [RECORD, CARD, WEIGHTS, VOCABULARY, DOCUMENTS, DOC_IDS, f"{TRIE}/*", f"{VECTORS}/*"]


def is_hub_name(name: object) -> bool:
    """Whether this is spelt as owner/name."""
    return isinstance(name, str) and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) is not None


def downloaded(name: str) -> Path:
    """The folder of the hub's cache with the newest bundle of this name; files that it has already are not fetched.

    Raises:
        UserError: The hub has no such bundle, or cannot be reached.
    """
    missing = f"there is no run and no bundle {name} here"
    hub = _library(f"{missing}, and to look on the Hugging Face hub")
    try:
        folder = Path(hub.snapshot_download(name, allow_patterns=[RECORD]))
        if (folder / RECORD).is_file():
            # the same revision for every file, even if a new one is uploaded meanwhile
            folder = Path(hub.snapshot_download(name, revision=folder.name, allow_patterns=_FILES))
    except Exception as error:  # the HTTP client's errors come through unwrapped
        raise UserError(f"{missing}, and the Hugging Face hub did not provide it: {reason_of(error)}") from error
    if not (folder / RECORD).is_file():
        raise UserError(f"{missing}, and '{name}' on the Hugging Face hub is no bundle: it has no {RECORD}")
    return folder


def check_push(name: str) -> None:
    """Raises `UserError` for a name that no hub takes, or where huggingface_hub is not installed."""
    if not is_hub_name(name):
        raise UserError(f"'{name}' is no name on the Hugging Face hub: give one such as owner/name")
    _library("to upload a bundle to the Hugging Face hub")


def push(directory: Path, name: str) -> str:
    """Uploads a bundle and returns its address. A repository that is not there yet is made, and private: its owner
    alone decides who may see the documents. One that holds something other than a bundle is refused; files of an older
    bundle that this one lacks are deleted there."""
    api = _library("to upload a bundle to the Hugging Face hub").HfApi()
    try:
        if api.repo_exists(name):
            others = [file for file in api.list_repo_files(name) if file not in _BESIDE]
            if others and RECORD not in others:
                raise UserError(
                    f"{directory} is written, but {name} on the Hugging Face hub holds {others[0]} and no bundle: give "
                    "another name"
                )
        else:
            api.create_repo(name, private=True)
        api.upload_folder(
            repo_id=name,
            folder_path=str(directory),
            allow_patterns=_FILES,
            delete_patterns=_FILES,
            commit_message="A bundle of gr2_jax",
        )
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{directory} is written, but the Hugging Face hub refuses {name}: {reason_of(error)}"
        ) from error
    return f"https://huggingface.co/{name}"


def _library(purpose: str) -> ModuleType:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise UserError(f"{purpose} {error.name} is needed: {install('huggingface')}") from error
    return huggingface_hub
