"""The training data as seqio tasks: every example is a text and the documents it should retrieve, with their grades.

Three tasks per collection, one TFRecord file each, all of the same shape:
`<name>_queries` (graded judgements), `<name>_pseudo` (augmentation: leading paragraphs and sentences, entities, titles)
and `<name>_documents` (indexing: the document's own text). TensorFlow is imported only here and only when called.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gr2_jax.data.lazy import libraries
from gr2_jax.data.vocabulary import seqio_vocabulary


class Example(NamedTuple):
    """A text and its relevant documents: rows of the collection's document table, and their grades (> 0)."""

    text: str
    docid_rows: Sequence[int]
    grades: Sequence[int]


class ExampleArrays(NamedTuple):
    """A whole task in memory: tokens [E, T] (0-padded), docid_rows [E, J] (-1-padded), grades [E, J] (0-padded)."""

    tokens: np.ndarray
    docid_rows: np.ndarray
    grades: np.ndarray


def write_examples(path: Path, examples: Iterable[Example]) -> None:
    """One TFRecord file of `tf.train.Example`s with features inputs, docid_rows and grades."""
    tf = libraries().tf
    partial = path.with_name(path.name + ".partial")
    with tf.io.TFRecordWriter(str(partial)) as writer:
        for example in examples:
            writer.write(_serialise(tf, example))
    os.replace(partial, path)


def _serialise(tf, example: Example) -> bytes:
    ints = {"docid_rows": example.docid_rows, "grades": example.grades}
    features = {k: tf.train.Feature(int64_list=tf.train.Int64List(value=list(v))) for k, v in ints.items()}
    features["inputs"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[example.text.encode()]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def register_task(name: str, path: Path, *, vocabulary: Path, extra_ids: int):
    """Registers (anew) and returns the seqio task that reads `path`: text tokenised, rows and grades as they are."""
    tf, seqio = libraries()
    if name in seqio.TaskRegistry.names():
        seqio.TaskRegistry.remove(name)
    ints = seqio.PassThroughVocabulary(size=2**31 - 1)
    return seqio.TaskRegistry.add(
        name,
        source=seqio.TFExampleDataSource(
            split_to_filepattern={"train": str(path)},
            feature_description={
                "inputs": tf.io.FixedLenFeature([], tf.string),
                "docid_rows": tf.io.VarLenFeature(tf.int64),
                "grades": tf.io.VarLenFeature(tf.int64),
            },
        ),
        preprocessors=[_dense_ints, seqio.preprocessors.tokenize],
        output_features={
            "inputs": seqio.Feature(seqio_vocabulary(str(vocabulary), extra_ids), add_eos=False),
            "docid_rows": seqio.Feature(ints, add_eos=False, dtype=tf.int32),
            "grades": seqio.Feature(ints, add_eos=False, dtype=tf.int32),
        },
    )


def _dense_ints(dataset):
    tf = libraries().tf

    def convert(example):
        dense = {k: tf.cast(tf.sparse.to_dense(example[k]), tf.int32) for k in ("docid_rows", "grades")}
        return {**dense, "inputs": example["inputs"]}

    return dataset.map(convert, num_parallel_calls=1)


def materialise(task, *, length: int, judged: int) -> ExampleArrays:
    """Reads a task once, in file order, through `GradedFeatureConverter`: texts cut to `length` tokens, lists to
    `judged` documents (best grades first). For collections that fit in memory; batches are then f(seed, step)."""
    _, seqio = libraries()
    lengths = {"inputs": length, "docid_rows": judged, "grades": judged}
    dataset = seqio.get_dataset(
        mixture_or_task_name=task.name,
        task_feature_lengths=lengths,
        dataset_split="train",
        shuffle=False,
        num_epochs=1,
        feature_converter=graded_feature_converter(),
    )
    columns = list(dataset.batch(1024).as_numpy_iterator())
    fields = ("encoder_input_tokens", "docid_rows", "grades")
    return ExampleArrays(*(np.concatenate([c[f] for c in columns]) for f in fields))


def graded_feature_converter():
    """A seqio feature converter: (inputs, docid_rows, grades) -> T5X's names, rows -1-padded, grades 0-padded."""
    tf, seqio = libraries()

    class GradedFeatureConverter(seqio.FeatureConverter):
        TASK_FEATURES = {  # noqa: RUF012  (seqio's own spelling of the interface)
            name: seqio.FeatureConverter.FeatureSpec(dtype=tf.int32) for name in ("inputs", "docid_rows", "grades")
        }
        MODEL_FEATURES = {  # noqa: RUF012
            name: seqio.FeatureConverter.FeatureSpec(dtype=tf.int32)
            for name in ("encoder_input_tokens", "docid_rows", "grades")
        }
        PACKING_FEATURE_DTYPES = None

        def _convert_features(self, ds, task_feature_lengths):
            def convert(example):
                return {
                    "encoder_input_tokens": example["inputs"],
                    "docid_rows": tf.where(example["grades"] > 0, example["docid_rows"], -1),
                    "grades": example["grades"],
                }

            # trims and 0-pads every feature; grade 0 then tells padding from row 0
            return self._pack_or_pad(ds, task_feature_lengths).map(convert)

        def get_model_feature_lengths(self, task_feature_lengths):
            names = {"encoder_input_tokens": "inputs", "docid_rows": "docid_rows", "grades": "grades"}
            return {model: task_feature_lengths[task] for model, task in names.items()}

    return GradedFeatureConverter(pack=False)
