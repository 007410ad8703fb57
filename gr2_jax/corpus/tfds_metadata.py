"""The metadata with which TensorFlow Datasets loads shards that it did not write itself."""

import os
from collections.abc import Mapping, Sequence

import numpy as np


def write_metadata(
    directory: str | os.PathLike,
    name: str,
    features: Mapping[str, type | list[type]],
    counts: Sequence[int],
    size: int,
    description: str = "",
    version: str = "1.0.0",
) -> None:
    """Writes dataset_info.json and features.json beside the shards of a data set with one split, `train`.

    features  name -> int or str for one value, [int] or [str] for a list
    counts    examples per shard
    size      bytes of all shards
    """
    import tensorflow_datasets as tfds

    kinds = {int: tfds.features.Scalar(np.int64), str: tfds.features.Text()}
    template = tfds.core.ShardedFileTemplate(data_dir=directory, dataset_name=name, split="train")
    tfds.folder_dataset.write_metadata(
        data_dir=directory,
        features={
            feature: tfds.features.Sequence(kinds[kind[0]]) if isinstance(kind, list) else kinds[kind]
            for feature, kind in features.items()
        },
        split_infos=[
            tfds.core.SplitInfo(name="train", shard_lengths=list(counts), num_bytes=size, filename_template=template)
        ],
        description=description or None,
        version=version,
        check_data=False,
    )
