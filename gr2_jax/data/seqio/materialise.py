"""A seqio task read once, in file order, into memory or into files with random access."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.example_files import TokenisedExample, write_example_files
from gr2_jax.data.seqio.converters import graded_feature_converter
from gr2_jax.data.seqio.libraries import libraries

_AT_ONCE = 256  # examples per transfer from TensorFlow to Python: one by one is a third as fast


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
    """The same as files in `directory`, for `ExampleFiles.open`, in constant memory; all judged documents if `judged`
    is None. Returns the number of examples."""
    return write_example_files(directory, _tokenised(task, length, judged), shards=shards)


def _tokenised(task, length: int, judged: int | None) -> Iterator[TokenisedExample]:
    lengths = {"inputs": length, "docid_rows": judged, "grades": judged}
    dataset = task.get_dataset(sequence_length=lengths, split="train", shuffle=False)
    for batch in dataset.ragged_batch(_AT_ONCE):
        columns = [_rows(batch[name]) for name in ("inputs", "docid_rows", "grades")]
        docids = [None] * len(columns[0])
        if "docid_tokens" in task.output_features:
            docids = [[docid[docid != 0] for docid in rows[:judged]] for rows in _rows(batch["docid_tokens"])]
        yield from map(TokenisedExample, *columns, docids)


def _rows(batch) -> list[np.ndarray]:
    """One array per example of a ragged batch, or of a dense batch if all have one shape."""
    if not isinstance(batch, libraries().tf.RaggedTensor):
        return list(batch.numpy())
    values, splits = batch.values.numpy(), batch.row_splits.numpy()
    return [values[start:end] for start, end in itertools.pairwise(splits)]
