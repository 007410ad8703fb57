"""The steps of a seqio task, from any kind of record to the common features: inputs, docid_rows, grades, docids."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from gr2_jax.data.seqio.libraries import libraries

END = 1  # the end token's id: every vocabulary here has T5's ids


def description(role: str) -> dict:
    """The features that `tf.io.parse_single_example` reads from the records of a role."""
    tf = libraries().tf
    text, number = tf.io.FixedLenFeature([], tf.string), tf.io.FixedLenFeature([], tf.int64)
    texts = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    numbers = tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True)
    if role == "pairs":
        return {"query": text, "doc_ids": numbers, "titles": texts, "grades": numbers}
    if role == "titles":
        return {"doc_id": number, "title": text, "text": text}
    return {"inputs": text, "docid_rows": numbers, "grades": numbers, "docids": texts}


def parse(role: str, *, docids_are_text: bool, best_grade: int) -> Callable:
    """Records of a role -> inputs, docid_rows [D], grades [D] and, where docids are text, docid_tokens as D strings;
    for the role "docids", inputs and targets, one example per query of the record.

    The rows of Wikipedia's examples are page ids. Its articles are indexed by their text alone, since the title is the
    target; each has `best_grade` for its own.
    """
    tf = libraries().tf

    def graded(texts, rows, grades, docids):
        features = {"inputs": texts, "docid_rows": tf.cast(rows, tf.int32), "grades": tf.cast(grades, tf.int32)}
        return features | ({"docid_tokens": docids} if docids_are_text else {})

    def convert(r):
        if role == "pairs":
            return graded(r["query"], r["doc_ids"], r["grades"], r["titles"])
        if role == "titles":
            return graded(r["text"], r["doc_id"][None], tf.constant([best_grade]), r["title"][None])
        return graded(r["inputs"], r["docid_rows"], r["grades"], r["docids"])

    def queries_of(r):
        return tf.data.Dataset.from_tensor_slices(r["docids"]).map(lambda q: {"inputs": r["inputs"], "targets": q})

    if role == "docids":
        return lambda dataset: dataset.flat_map(queries_of)
    return lambda dataset: dataset.map(convert, num_parallel_calls=tf.data.AUTOTUNE)


def close_docids(length: int) -> Callable:
    """docid_tokens, ragged [D, any] -> [D, length]: cut to leave room for the end token, ended, 0-padded."""
    tf = libraries().tf

    def close(example):
        kept = example["docid_tokens"][:, : length - 1]
        ends = tf.one_hot(kept.row_lengths(), length, on_value=END, dtype=tf.int32)
        return example | {"docid_tokens": kept.to_tensor(shape=[None, length]) + ends}

    return lambda dataset: dataset.map(close, num_parallel_calls=tf.data.AUTOTUNE)


def look_up(table: Int[np.ndarray, "N Ti"]) -> Callable:
    """docid_rows [D] -> docid_tokens [D, Ti], rows of the table."""
    tf = libraries().tf
    docids = tf.constant(table, tf.int32)
    return lambda dataset: dataset.map(
        lambda example: example | {"docid_tokens": tf.gather(docids, example["docid_rows"])},
        num_parallel_calls=tf.data.AUTOTUNE,
    )
