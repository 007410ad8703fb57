"""Deals records out to the n shards of one file in turn: record i is number i // n of shard i % n."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from gr2_jax.files import replacing


def shard_paths(path: Path, shards: int) -> list[Path]:
    """`path` itself for one shard, else `path-00000-of-00004` and so on."""
    if shards == 1:
        return [path]
    return [path.with_name(f"{path.name}-{shard:05d}-of-{shards:05d}") for shard in range(shards)]


def deal(records: Iterable[bytes], paths: Sequence[Path], open_writer: Callable[[str], Any]) -> list[int]:
    """Writes the records to `paths` in turn and returns the number in each. `open_writer(path)` gives an object with
    `write` and `close`. The files get their names once all are complete."""
    counts = [0] * len(paths)
    with ExitStack() as stack:
        partials = [stack.enter_context(replacing(path)) for path in paths]
        writers = [stack.enter_context(closing(open_writer(str(partial)))) for partial in partials]
        for number, record in enumerate(records):
            shard = number % len(paths)
            writers[shard].write(record)
            counts[shard] += 1
    return counts
