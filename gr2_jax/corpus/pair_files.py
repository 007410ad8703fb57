"""Files of documents and of graded pairs in the layout of `gr2 wikipedia`, from records in any order.

A record's place is a hash: which shard holds it, and where in the shard it stands. So the beginning of the files is a
sample of the source, from which a vocabulary can be learnt.
"""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from gr2_jax.corpus.tfds_metadata import write_metadata
from gr2_jax.corpus.wikipedia.examples import VERSION, Value, encode_example, shard_name
from gr2_jax.corpus.wikipedia.pairs import Order
from gr2_jax.terminal import native_messages_hidden

FEATURES: dict[str, dict[str, type | list[type]]] = {
    "documents": {"doc_id": int, "title": str, "text": str, "url": str},
    "pairs": {"query_id": int, "query": str, "doc_ids": [int], "titles": [str], "grades": [int]},
}
"""Data set -> its features, as TensorFlow Datasets has them."""

_ABOUT = {
    "documents": "Documents: number, title, leading text, URL.",
    "pairs": "A query, and documents with grades: 1 is the lowest, the highest come first.",
}
_ENTRY = struct.Struct("<QQI")


class PairFiles:
    """The shards of one data set, below `folder`. Records wait in a file per shard until `finish` sorts them, one shard
    in memory at a time."""

    def __init__(self, folder: Path, name: str, shards: int, seed: int):
        self._directory, self._name, self._shards = folder / name / VERSION, name, shards
        self._order = Order(seed, name, "")
        self._directory.mkdir(parents=True)
        self._waiting = [self._directory / f"waiting-{shard:05d}" for shard in range(shards)]
        self._open = [path.open("wb") for path in self._waiting]

    def add(self, number: int, key: str, features: Mapping[str, Value]) -> None:
        """Takes a record; `number` orders records of equal hashes, `key` is what is hashed."""
        place, record = self._order(key), encode_example(features)
        self._open[place % self._shards].write(_ENTRY.pack(place, number, len(record)) + record)

    def finish(self) -> list[dict[str, int]]:
        """Writes the shards and what TensorFlow Datasets reads beside them; returns "records" and "bytes" of each."""
        with native_messages_hidden():
            import tensorflow as tf
        notes = []
        for shard, (waiting, file) in enumerate(zip(self._waiting, self._open, strict=True)):
            file.close()
            path = self._directory / shard_name(self._name, shard, self._shards)
            records = [record for *_, record in sorted(_entries(waiting.read_bytes()))]
            with tf.io.TFRecordWriter(str(path)) as writer:
                for record in records:
                    writer.write(record)
            waiting.unlink()
            notes.append({"records": len(records), "bytes": path.stat().st_size})
        counts, size = [note["records"] for note in notes], sum(note["bytes"] for note in notes)
        about, features = _ABOUT[self._name], FEATURES[self._name]
        write_metadata(self._directory, self._name, features, counts, size, about, VERSION)
        return notes


def _entries(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    start = 0
    while start < len(data):
        place, number, length = _ENTRY.unpack_from(data, start)
        start += _ENTRY.size + length
        yield place, number, data[start - length : start]
