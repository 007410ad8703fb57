"""A part of a large collection that keeps every judged document, chosen without holding any."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import UInt64

from gr2_jax.corpus.collection import CollectionStream, Document
from gr2_jax.errors import UserError

_BLOCK = 1 << 16


def subset(stream: CollectionStream, documents: int, *, seed: int) -> CollectionStream:
    """Returns the collection with at most `documents` documents: all judged ones, and a sample of the others.

    Every document that a judgement of any grade names is kept. The others are those with the smallest keyed hashes of
    their ids, so that the choice depends neither on their order nor on how the source is cut, and the subset of a
    smaller number is part of that of a larger one. Documents keep their order; a collection with no more than that many
    is kept whole.

    Reads the documents once here, in memory of 8 bytes per document kept (and the ids that judgements name), and once
    more in each pass over the result.

    Raises UserError where there are more judged documents than that.
    """
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
    """Returns the largest hash of an unjudged document that is kept; -1 where none is."""
    smallest, block, present = np.zeros(0, np.uint64), [], 0
    for document in stream.documents():
        if document.doc_id in judged:
            present += 1
            continue
        block.append(_hash(document.doc_id, key))
        if len(block) >= max(documents, _BLOCK):
            smallest, block = _merge(smallest, block, documents), []
    if present > documents:
        raise UserError(
            f"{stream.name} has {present} judged documents, more than the {documents} asked for: ask for at least these"
        )
    kept = _merge(smallest, block, documents - present)
    return int(kept[-1]) if len(kept) else -1


def _merge(smallest: UInt64[np.ndarray, " M"], block: list[int], count: int) -> UInt64[np.ndarray, " K"]:
    """Returns the `count` smallest of both, ascending."""
    return np.sort(np.concatenate([smallest, np.array(block, np.uint64)]))[:count]


def _hash(doc_id: str, key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(doc_id.encode(), digest_size=8, key=key).digest())
