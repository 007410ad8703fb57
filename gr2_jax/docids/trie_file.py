"""The trie on disk: a directory of arrays to memory-map, and `trie.json`, which describes them."""

import json
import os
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from gr2_jax.array_files import map_array
from gr2_jax.checksums import crc32_of
from gr2_jax.decoding.trie_arrays import STORED, TrieArrays
from gr2_jax.docids.trie_check import is_trie
from gr2_jax.errors import UserError
from gr2_jax.files import put_in_place, reading, writing

_ANY_FORMAT = "gr2_jax docid trie "
_FORMAT = _ANY_FORMAT + "3"
_HEADER = "trie.json"
_NAMELESS = ("", "..")  # the names of '.', '/' and '..'


def write_trie(path: Path, arrays: TrieArrays, eos_id: int, vocabulary: str | None) -> None:
    """Writes the directory `path`, through a temporary one beside it; the same trie gives the same bytes.

    A directory cannot replace another in one step, so an older trie is first renamed. A process killed between the two
    renames leaves both tries, complete, beside `path`, under names that only this program uses.

    Raises:
      UserError: `path` has no name of its own, or holds something other than a docid trie.
    """
    _check_place(path)
    partial, old = _beside(path, "partial"), _beside(path, "old")
    with writing(path):
        _remove(partial)
        partial.mkdir(parents=True)
        for name in STORED:
            np.save(partial / f"{name}.npy", getattr(arrays, name), allow_pickle=False)
        header = {
            "format": _FORMAT,
            "vocabulary": vocabulary,
            "eos_id": eos_id,
            "counts": {"docids": len(arrays.row), "nodes": len(arrays.token)},
            "crc32": {name: crc32_of(partial / f"{name}.npy") for name in STORED},
        }
        (partial / _HEADER).write_text(_as_text(header), encoding="utf-8")
        put_in_place(partial, path, old)


def read_trie(path: Path, vocabulary: str | None) -> tuple[TrieArrays, int, str | None]:
    """Memory-maps the arrays of a trie; returns them with its end-of-docid token and its vocabulary.

    Raises:
      UserError: the trie is missing, damaged, of another format, or made with another vocabulary than the given one.
    """
    if not path.exists():
        raise UserError(f"there is no docid trie at {path}{_hint_of_old(path)}")
    header = _read_header(path)
    if vocabulary is not None and header["vocabulary"] != vocabulary:
        made = f"the vocabulary {header['vocabulary']}" if header["vocabulary"] else "an unrecorded vocabulary"
        raise UserError(f"the docid trie at {path} was made with {made}, not {vocabulary}")
    with reading(f"the docid trie at {path}"):
        arrays = TrieArrays(*(_map_array(path, name, header["crc32"][name]) for name in STORED))
        if not is_trie(arrays, **header["counts"], eos_id=header["eos_id"]):
            raise UserError(f"the docid trie at {path} is damaged: its arrays do not fit together")
    return arrays, header["eos_id"], header["vocabulary"]


def _beside(path: Path, state: str) -> Path:
    return path.with_name(f".{path.name}.gr2-{state}")


def _hint_of_old(path: Path) -> str:
    if path.name in _NAMELESS or not (old := _beside(path, "old")).exists():
        return ""
    return f", but an interrupted save left the older one at {old}: rename it to {path.name}, or save again"


def _check_place(path: Path) -> None:
    """Raises UserError unless `path` is free, or holds a docid trie of any format and nothing else."""
    if path.name in _NAMELESS:
        raise UserError(
            f"a docid trie cannot be saved as '{path}': give the name of a directory, such as {path / 'trie'}"
        )
    if os.path.lexists(path) and (why := _why_no_trie(path)):
        raise UserError(
            f"{path} cannot be replaced by a docid trie because it {why}: remove it, or save under another name"
        )


def _why_no_trie(path: Path) -> str | None:
    if path.is_symlink() or not path.is_dir():
        return f"is a {'symbolic link' if path.is_symlink() else 'file'}"
    try:
        header = json.loads((path / _HEADER).read_bytes())
        is_trie = header["format"].startswith(_ANY_FORMAT)
        own = {_HEADER, *(f"{name}.npy" for name in header["crc32"])}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        is_trie = False
    if not is_trie:
        return f"is a directory without a readable {_HEADER} of a docid trie"
    others = sorted({file.name for file in path.iterdir()} - own)
    return f"holds other files too, such as {others[0]}" if others else None


def _as_text(header: dict[str, Any]) -> str:
    """The header with a checksum of itself."""
    checksum = zlib.crc32(json.dumps(header).encode())
    return json.dumps(header | {"checksum": checksum}, indent=1) + "\n"


def _read_header(path: Path) -> dict[str, Any]:
    try:
        text = (path / _HEADER).read_bytes().decode("utf-8")
        header = json.loads(text)
        format_ = header["format"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise UserError(f"{path} is not a docid trie, or its {_HEADER} is missing or damaged") from None
    if format_ != _FORMAT:
        raise UserError(f"{path} has the format '{format_}', not '{_FORMAT}': make the docid trie again")
    header.pop("checksum", None)
    if _as_text(header) != text:
        raise UserError(f"the docid trie at {path} is damaged: its {_HEADER} does not match its checksum")
    kinds = {"vocabulary": str | None, "eos_id": int, "counts": dict, "crc32": dict}
    if not all(name in header and isinstance(header[name], kind) for name, kind in kinds.items()):
        raise UserError(f"the docid trie at {path} is damaged: its {_HEADER} does not describe a trie")
    return header


def _map_array(path: Path, name: str, checksum: int) -> np.ndarray:
    file = path / f"{name}.npy"
    if not file.is_file():
        raise UserError(f"the docid trie at {path} is damaged: {file.name} is missing")
    if crc32_of(file) != checksum:
        raise UserError(f"the docid trie at {path} is damaged: {file.name} is truncated or changed")
    return np.asarray(map_array(file, ndim=2 if name == "wide" else 1))


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
