"""Subsets of large collections that keep every judged document, chosen without holding documents in memory."""

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from gr2_jax.corpus.collection import CollectionStream, Document
from gr2_jax.errors import UserError

_BLOCK = 1 << 20


def subset(stream: CollectionStream, documents: int, *, seed: int) -> CollectionStream:
    """Returns the collection with at most `documents` documents: all judged ones, and a sample of the others.

    Every document with a judgement of any grade is kept. The sample is the unjudged documents with the smallest keyed
    hashes of their ids. So it does not depend on the order of the documents or on the files that hold them, and smaller
    subsets are part of larger ones. Documents keep their order; a collection of at most `documents` documents is kept
    whole.

    This call reads the documents once, with at most 9 bytes of memory per document kept plus 9 MB (and the judged ids);
    each pass over the result reads them once more.

    Raises UserError if `documents` is below 1 or below the number of judged documents.
    """
    if documents < 1:
        raise UserError(f"a subset of {stream.name} with {documents} documents is impossible: ask for at least 1")
    judged = frozenset(doc for grades in stream.qrels.values() for doc in grades)
    key = hashlib.blake2b(f"subset/{seed}".encode()).digest()
    threshold = _threshold(stream, judged, documents, key)

    def chosen() -> Iterator[Document]:
        for document in stream.documents():
            if document.doc_id in judged or _hash(document.doc_id, key) <= threshold:
                yield document

    about = f"{documents} documents: all judged ones and others by hash, seed {seed}"
    return replace(stream, documents=chosen, provenance={**stream.provenance, "subset": about})


def _threshold(stream: CollectionStream, judged: frozenset[str], documents: int, key: bytes) -> int:
    """Returns the largest hash of an unjudged document that is kept; -1 if none is kept."""
    hashes, bound, present = array("Q"), 1 << 64, 0
    for document in stream.documents():
        if document.doc_id in judged:
            present += 1
            continue
        value = _hash(document.doc_id, key)
        if value < bound:
            hashes.append(value)
        if len(hashes) >= documents + _BLOCK:
            bound = _keep_smallest(hashes, documents)
    if present > documents:
        raise UserError(
            f"{stream.name} has {present} judged documents, more than the {documents} asked for: ask for all of them"
        )
    count = min(documents - present, len(hashes))
    return _keep_smallest(hashes, count) if count else -1


def _keep_smallest(hashes: "array[int]", count: int) -> int:
    """Keeps the `count` smallest hashes, in place, and returns the largest of them."""
    np.frombuffer(hashes, np.uint64).partition(count - 1)
    del hashes[count:]
    return hashes[-1]


def _hash(doc_id: str, key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(doc_id.encode(), digest_size=8, key=key).digest())
