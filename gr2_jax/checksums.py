"""Checksums that are written beside files, so that a byte that a disk changed is noticed and not computed with."""

import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gr2_jax.errors import UserError
from gr2_jax.files import plain

SEAL = "checksum"
"""The key of a sealed record's checksum of itself."""
_CHUNK = 1 << 20  # bytes in memory


def crc32_of(path: Path) -> int:
    """The CRC-32 of a file's bytes, read piece by piece."""
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def checksums_of(folder: Path, files: Iterable[Path]) -> dict[str, int]:
    """The file's name in `folder`, with / between folders -> its CRC-32."""
    return {path.relative_to(folder).as_posix(): crc32_of(path) for path in sorted(files)}


def check_files(folder: Path, noted: dict[str, int]) -> None:
    """Raises `UserError` that names the first file of `noted`, which `checksums_of` wrote down, that is missing, has
    other bytes now, or is not of the folder."""
    for name, checksum in noted.items():
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise UserError(f"{folder} is damaged: it names {name!r}, which is not in it")
        if not (folder / name).is_file():
            raise UserError(f"{folder} is damaged: {name} is missing")
        if crc32_of(folder / name) != checksum:
            raise UserError(f"{folder} is damaged: {name} was changed after it was written")


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """The record, as JSON would have it, with a checksum of itself."""
    value = json.loads(json.dumps({key: record[key] for key in record if key != SEAL}, default=plain))
    return value | {SEAL: _seal_of(value)}


def unsealed(record: dict[str, Any], place: str | Path) -> dict[str, Any]:
    """What was sealed; a record without a seal, of an earlier version, as it is. Raises `UserError` that names `place`
    where the two do not match."""
    value = {key: record[key] for key in record if key != SEAL}
    if SEAL in record and record[SEAL] != _seal_of(value):
        raise UserError(f"{place} is damaged: it does not match its checksum")
    return value


def _seal_of(value: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())
