"""What lets `tfds.load("pairs", data_dir=OUTPUT)` and `tfds.load("documents", data_dir=OUTPUT)` find the shards."""

import os
from collections.abc import Mapping, Sequence

import numpy as np

from gr2_jax.corpus.wikipedia import storage
from gr2_jax.corpus.wikipedia.examples import VERSION
from gr2_jax.corpus.wikipedia.shards import DOCUMENTS

_ABOUT = {
    "documents": "Articles of a Wikipedia: page id, title, cleaned leading text, URL.",
    "pairs": "A sentence of an article's abstract, and graded articles: 4 itself, 3 See also or references, "
    "2 linked in the lead section, 1 linked elsewhere.",
}


def write_tfds_metadata(output: str, name: str, notes: Sequence[Mapping]) -> None:
    """Writes dataset_info.json and features.json beside the shards; `notes` has their "records" and "bytes"."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow_datasets as tfds

    folder = storage.join(output, name, VERSION)
    template = tfds.core.ShardedFileTemplate(
        data_dir=folder, dataset_name=name, split="train", filetype_suffix="tfrecord"
    )
    split = tfds.core.SplitInfo(
        name="train",
        shard_lengths=[note["records"] for note in notes],
        num_bytes=sum(note["bytes"] for note in notes),
        filename_template=template,
    )
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=_features(tfds.features, name),
        split_infos=[split],
        description=_ABOUT[name],
        check_data=False,
    )


def _features(kinds, name: str):
    number, text = kinds.Scalar(np.int64), kinds.Text()
    if name == DOCUMENTS:
        return kinds.FeaturesDict({"doc_id": number, "title": text, "text": text, "url": text})
    numbers, texts = kinds.Sequence(kinds.Scalar(np.int64)), kinds.Sequence(kinds.Text())
    return kinds.FeaturesDict(
        {"query_id": number, "query": text, "doc_ids": numbers, "titles": texts, "grades": numbers}
    )
