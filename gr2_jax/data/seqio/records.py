"""Training examples as text on disk: TFRecords of `tf.train.Example`, one shape for every role; no TensorFlow."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from gr2_jax.corpus.wikipedia.examples import encode_example, frame
from gr2_jax.data.dealing import deal, shard_paths


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
    records = (frame(serialise(example)) for example in examples)
    return sum(deal(records, shard_paths(path, shards), lambda path: open(path, "wb")))


def serialise(example: Example) -> bytes:
    """The bytes of the example's `tf.train.Example`."""
    docids = {"docids": example.docids} if example.docids else {}
    features = {"docid_rows": example.docid_rows, "grades": example.grades, "inputs": example.text}
    return encode_example(features | docids)
