"""Candidate lists as files: each of several hosts makes its share, and finished shards survive a killed host."""

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from gr2_jax.array_files import parse_array
from gr2_jax.docids.candidates import check_lists, narrow_lists
from gr2_jax.errors import UserError
from gr2_jax.files import replacing, write_json

_CONTENTS = "shards.json"
_SHARD = re.compile(r"([0-9a-f]{16})-\d+-of-\d+\.npy(\.partial)?")
_CHECKSUM = hashlib.sha256().digest_size


def make_shards(
    directory: Path,
    rows: Int[np.ndarray, "N"],
    make: Callable[[Int[np.ndarray, "s"]], Int[np.ndarray, "s C T"]],
    *,
    shard_size: int,
    fingerprint: str,
    host: int = 0,
    hosts: int = 1,
    advance: Callable[[int], None] = lambda n: None,
) -> None:
    """Makes shards `host`, `host` + `hosts`, ... of the candidate lists of `rows`, cut into pieces of `shard_size`.

    Intact shards from an earlier run are kept; damaged ones are made again. Files of another fingerprint, other rows or
    another shard size are deleted. Each file's name holds a digest of these three, so hosts that agree on them may
    start, stop and restart in any order.

    Args:
      rows: the documents, in the order `read_shards` will give them.
      make: returns the lists of some of the rows, in their order; it must depend on the rows alone.
      fingerprint: fingerprint of everything else that determines the lists.
      advance: called with the number of rows of each finished shard, kept shards included.

    Raises:
      UserError: `host` or `shard_size` is out of range, or `make` returns something other than lists, or lists for
        another number of documents.
    """
    if shard_size < 1 or not 0 <= host < hosts:
        raise UserError(f"shards of {shard_size} rows cannot be made by host {host} of {hosts} (counted from 0)")
    contents = _Contents.of(rows, shard_size, fingerprint)
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / _CONTENTS, contents)  # every host writes the same contents
    for path in list(directory.iterdir()):
        if (name := _SHARD.fullmatch(path.name)) and name[1] != contents.key:
            path.unlink(missing_ok=True)
    for index in range(host, contents.shards, hosts):
        part = rows[index * shard_size : (index + 1) * shard_size]
        path = directory / contents.name(index)
        if _read(path) is None:
            lists = np.asarray(make(part))
            check_lists(lists)
            if len(lists) != len(part):
                raise UserError(f"{path} needs lists for {len(part)} documents, not {len(lists)}")
            _write(path, lists)
        advance(len(part))


def read_shards(directory: Path) -> Iterator[Int[np.ndarray, "s C T"]]:
    """Yields the lists that `make_shards` wrote, shard by shard in the order of the rows.

    Raises:
      UserError: a shard is missing or damaged, or there are none.
    """
    try:
        contents = _Contents(**json.loads((directory / _CONTENTS).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{directory} has no readable {_CONTENTS}: no host has begun to make candidates") from error
    for index in range(contents.shards):
        path = directory / contents.name(index)
        lists = _read(path)
        if lists is None:
            state = "damaged: make it again" if path.exists() else "missing: the host that makes it has not finished"
            raise UserError(f"{path} is {state}")
        yield lists


@dataclass(frozen=True)
class _Contents:
    """The contents of a directory, as its JSON file describes them."""

    fingerprint: str
    rows: int
    shard_size: int
    shards: int
    key: str
    """A digest of the fingerprint, the rows and the shard size; all files begin with it."""

    @classmethod
    def of(cls, rows: Int[np.ndarray, "N"], shard_size: int, fingerprint: str) -> "_Contents":
        digest = hashlib.sha256(np.ascontiguousarray(rows, "<i8"))
        digest.update(json.dumps([fingerprint, shard_size]).encode())
        return cls(fingerprint, len(rows), shard_size, -(-len(rows) // shard_size), digest.hexdigest()[:16])

    def name(self, index: int) -> str:
        return f"{self.key}-{index:05d}-of-{self.shards:05d}.npy"


def _write(path: Path, lists: Int[np.ndarray, "s C T"]) -> None:
    """Writes a .npy file with its SHA-256 at the end, which NumPy ignores."""
    file = io.BytesIO()
    np.save(file, narrow_lists(lists), allow_pickle=False)
    with replacing(path) as partial:
        partial.write_bytes(file.getvalue() + hashlib.sha256(file.getbuffer()).digest())


def _read(path: Path) -> Int[np.ndarray, "s C T"] | None:
    """The lists in a shard; None if the file is missing or does not match its checksum."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    array, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:]
    if hashlib.sha256(array).digest() != checksum:
        return None
    return parse_array(array, path, ndim=3)
