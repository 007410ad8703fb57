"""Files on any of Beam's file systems, each complete or absent."""

import json
from collections.abc import Iterable
from typing import BinaryIO

from gr2_jax.corpus.wikipedia.quiet import quiet_import
from gr2_jax.errors import UserError
from gr2_jax.files import parse_json, reading, writing

with quiet_import():
    from apache_beam.io.filesystem import BeamIOError, CompressionTypes
    from apache_beam.io.filesystems import FileSystems

join = FileSystems.join
exists = FileSystems.exists


def open_raw(path: str) -> BinaryIO:
    """Opens a file for reading its stored bytes, without decompression."""
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def write(path: str, chunks: Iterable[bytes]) -> int:
    """Writes a file under a temporary name, then renames it; returns its size in bytes. `UserError` for a full disk."""
    partial, size = path + ".partial", 0
    with writing(path):
        with FileSystems.create(partial, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            for chunk in chunks:
                file.write(chunk)
                size += len(chunk)
        FileSystems.rename([partial], [path])
    return size


def write_json(path: str, value: object) -> None:
    """Writes a value as JSON with sorted keys."""
    write(path, [json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode(), b"\n"])


def read_json(path: str) -> dict:
    """Reads a file of `write_json`. Raises UserError if it is not a JSON object."""
    with reading(path), open_raw(path) as file:
        value = parse_json(file.read().decode(), path)
        if not isinstance(value, dict):
            raise UserError(f"{path} is damaged: it is no JSON object")
        return value


def find(pattern: str) -> list[tuple[str, int]]:
    """Returns (path, size in bytes) of the files that the pattern matches, sorted by path."""
    try:
        (found,) = FileSystems.match([pattern])
    except BeamIOError as error:
        raise UserError(f"{pattern} cannot be looked up: {error}") from None
    return sorted((file.path, file.size_in_bytes) for file in found.metadata_list)


def remove(paths: Iterable[str]) -> None:
    """Deletes the files or folders that exist."""
    present = [path for path in paths if exists(path)]
    if present:
        FileSystems.delete(present)
