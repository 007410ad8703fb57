"""Examples as a data set of TensorFlow Datasets: `tfds.load(name, data_dir=data_dir)` reads it without a builder."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from gr2_jax.corpus.tfds_metadata import write_metadata
from gr2_jax.data.dealing import deal
from gr2_jax.data.seqio.libraries import libraries
from gr2_jax.data.seqio.records import Example, serialise
from gr2_jax.errors import UserError

VERSION = "1.0.0"
_FEATURES = {"inputs": str, "docid_rows": [int], "grades": [int], "docids": [str]}


def write_dataset(
    data_dir: Path,
    name: str,
    examples: Iterable[Example],
    *,
    shards: int = 1,
    file_format: Literal["tfrecord", "array_record"] = "tfrecord",
) -> Path:
    """Writes `data_dir/name/1.0.0/` whole or not at all and returns its path; tasks read its `*.tfrecord-*`.

    `tfds.data_source` (random access) needs "array_record", seqio tasks "tfrecord". `UserError` if it exists.
    """
    directory = data_dir / name / VERSION
    if directory.exists():
        raise UserError(f"{directory} exists already: remove it, or give the data set another name")
    partial = directory.with_name(VERSION + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    paths = [partial / f"{name}-train.{file_format}-{shard:05d}-of-{shards:05d}" for shard in range(shards)]
    records = (serialise(example) for example in examples)
    counts = deal(records, paths, _writer(file_format))
    libraries()  # imports TensorFlow quietly
    write_metadata(partial, name, _FEATURES, counts, sum(path.stat().st_size for path in paths), version=VERSION)
    os.replace(partial, directory)
    return directory


def _writer(file_format: str):
    if file_format == "tfrecord":
        return libraries().tf.io.TFRecordWriter
    from array_record.python.array_record_module import ArrayRecordWriter

    return lambda path: ArrayRecordWriter(path, "group_size:1")
