"""The metadata with which `tfds.load("pairs", data_dir=OUTPUT)` and `tfds.load("documents", ...)` find the shards."""

import os
from collections.abc import Mapping, Sequence

from gr2_jax.corpus.tfds_metadata import write_metadata
from gr2_jax.corpus.wikipedia import storage
from gr2_jax.corpus.wikipedia.examples import VERSION
from gr2_jax.corpus.wikipedia.shards import DOCUMENTS, PAIRS

_FEATURES = {
    DOCUMENTS: {"doc_id": int, "title": str, "text": str, "url": str},
    PAIRS: {"query_id": int, "query": str, "doc_ids": [int], "titles": [str], "grades": [int]},
}
_ABOUT = {
    DOCUMENTS: "Articles of a Wikipedia: page id, title, cleaned leading text, URL.",
    PAIRS: "A sentence of an article's abstract, and graded articles: 4 itself, 3 See also or references, "
    "2 linked in the lead section, 1 linked elsewhere.",
}


def write_tfds_metadata(output: str, name: str, notes: Sequence[Mapping]) -> None:
    """Writes dataset_info.json and features.json beside the shards; `notes` has their "records" and "bytes"."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    counts, size = [note["records"] for note in notes], sum(note["bytes"] for note in notes)
    write_metadata(storage.join(output, name, VERSION), name, _FEATURES[name], counts, size, _ABOUT[name], VERSION)
