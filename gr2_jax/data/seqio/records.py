"""Training examples as text on disk: TFRecords of `tf.train.Example`, one shape for every role."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from gr2_jax.data.dealing import deal, shard_paths
from gr2_jax.data.seqio.libraries import libraries


class Example(NamedTuple):
    """A text and its relevant documents: rows of the collection's document table, and their grades (> 0, best first).

    `docids` are the documents' docids, one per row, if docids are text; for a document that query generation learns
    from, they are its queries.
    """

    text: str
    docid_rows: Sequence[int]
    grades: Sequence[int]
    docids: Sequence[str] = ()


def write_examples(path: Path, examples: Iterable[Example], *, shards: int = 1) -> int:
    """Writes TFRecords of `tf.train.Example`s with inputs, docid_rows, grades and, if there are any, docids.

    One file, or `path-00000-of-00004` and so on, which `f"{path}*"` matches. Returns the number of examples.
    """
    tf = libraries().tf
    records = (serialise(example) for example in examples)
    return sum(deal(records, shard_paths(path, shards), tf.io.TFRecordWriter))


def serialise(example: Example) -> bytes:
    """The bytes of the example's `tf.train.Example`."""
    tf = libraries().tf
    ints = {"docid_rows": example.docid_rows, "grades": example.grades}
    texts = {"inputs": [example.text]} | ({"docids": example.docids} if example.docids else {})
    features = {k: tf.train.Feature(int64_list=tf.train.Int64List(value=list(v))) for k, v in ints.items()}
    for name, values in texts.items():
        encoded = [value.encode() for value in values]
        features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)
