"""Examples as a data set of TensorFlow Datasets: `tfds.load(name, data_dir=data_dir)` sees it, without a builder."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np

from gr2_jax.data.lazy import libraries
from gr2_jax.data.records import Example, serialise
from gr2_jax.data.shards import deal
from gr2_jax.errors import UserError

VERSION = "1.0.0"


def write_dataset(
    data_dir: Path,
    name: str,
    examples: Iterable[Example],
    *,
    shards: int = 1,
    file_format: Literal["tfrecord", "array_record"] = "tfrecord",
) -> Path:
    """Writes `data_dir/name/1.0.0/` whole or not at all and returns it; tasks read its `*.tfrecord-*`.

    `tfds.data_source` (random access) needs "array_record", seqio tasks "tfrecord". `UserError` where it exists.
    """
    directory = data_dir / name / VERSION
    if directory.exists():
        raise UserError(f"{directory} is in the way: remove it, or give the data set another name")
    partial = directory.with_name(VERSION + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    paths = [partial / f"{name}-train.{file_format}-{shard:05d}-of-{shards:05d}" for shard in range(shards)]
    records = (serialise(example) for example in examples)
    counts = deal(records, paths, _writer(file_format))
    _write_metadata(partial, counts, sum(path.stat().st_size for path in paths))
    os.replace(partial, directory)
    return directory


def _writer(file_format: str):
    if file_format == "tfrecord":
        return libraries().tf.io.TFRecordWriter
    from array_record.python.array_record_module import ArrayRecordWriter

    return lambda path: ArrayRecordWriter(path, "group_size:1")


def _write_metadata(directory: Path, counts: list[int], size: int) -> None:
    libraries()  # TensorFlow, quietly
    import tensorflow_datasets as tfds

    numbers = tfds.features.Sequence(tfds.features.Scalar(np.int64))
    template = tfds.core.ShardedFileTemplate(
        data_dir=directory, template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    )
    tfds.folder_dataset.write_metadata(
        data_dir=directory,
        features={
            "inputs": tfds.features.Text(),
            "docid_rows": numbers,
            "grades": numbers,
            "docids": tfds.features.Sequence(tfds.features.Text()),
        },
        split_infos=[
            tfds.core.SplitInfo(name="train", shard_lengths=counts, num_bytes=size, filename_template=template)
        ],
        version=VERSION,
        check_data=False,
    )
