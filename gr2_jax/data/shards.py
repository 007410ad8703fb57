"""Records dealt out to the shards of one file, one at a time: record i is number i // n of shard i % n."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any


def shard_paths(path: Path, shards: int) -> list[Path]:
    """`path` itself for one shard, else `path-00000-of-00004` and so on."""
    if shards == 1:
        return [path]
    return [path.with_name(f"{path.name}-{shard:05d}-of-{shards:05d}") for shard in range(shards)]


def deal(records: Iterable[bytes], paths: Sequence[Path], open_writer: Callable[[str], Any]) -> list[int]:
    """Writes the records to `paths` in turn and returns how many each has. `open_writer(path)` gives an object with
    `write` and `close`. The files are written beside and renamed when all are whole."""
    partials = [path.with_name(path.name + ".partial") for path in paths]
    counts = [0] * len(paths)
    with ExitStack() as stack:
        writers = [stack.enter_context(closing(open_writer(str(partial)))) for partial in partials]
        for number, record in enumerate(records):
            shard = number % len(paths)
            writers[shard].write(record)
            counts[shard] += 1
    for partial, path in zip(partials, paths, strict=True):
        os.replace(partial, path)
    return counts
