"""A seqio task read once, in file order, into memory or into files with random access."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.converters import graded_feature_converter
from gr2_jax.data.example_files import TokenisedExample, write_example_files
from gr2_jax.data.lazy import libraries


def materialise(task, *, length: int, judged: int) -> ExampleArrays:
    """Texts cut to `length` tokens, lists to their first `judged` documents. For collections that fit in memory;
    batches are then f(seed, step)."""
    seqio = libraries().seqio
    has_docids = "docid_tokens" in task.output_features
    lengths = {"inputs": length, "docid_rows": judged, "grades": judged}
    if has_docids:
        lengths["docid_tokens"] = judged
    dataset = seqio.get_dataset(
        mixture_or_task_name=task.name,
        task_feature_lengths=lengths,
        dataset_split="train",
        shuffle=False,
        num_epochs=1,
        feature_converter=graded_feature_converter(docid_tokens=has_docids),
    )
    columns = list(dataset.batch(1024).as_numpy_iterator())
    fields = ("encoder_input_tokens", "docid_rows", "grades", *(["docid_tokens"] if has_docids else []))
    return ExampleArrays(*(np.concatenate([c[f] for c in columns]) for f in fields))


def materialise_files(task, directory: Path, *, length: int, judged: int | None = None, shards: int = 8) -> int:
    """The same into `directory`, for `ExampleFiles.open`, in flat memory; all judged documents where `judged` is None.
    Returns the number of examples."""
    return write_example_files(directory, _tokenised(task, length, judged), shards=shards)


def _tokenised(task, length: int, judged: int | None) -> Iterator[TokenisedExample]:
    has_docids = "docid_tokens" in task.output_features
    lengths = {"inputs": length, "docid_rows": judged, "grades": judged}
    for example in task.get_dataset(sequence_length=lengths, split="train", shuffle=False).as_numpy_iterator():
        docids = [docid[docid != 0] for docid in example["docid_tokens"][:judged]] if has_docids else None
        yield TokenisedExample(example["inputs"], example["docid_rows"], example["grades"], docids)
