"""Queries for a collection that has none: sentences that are taken out of documents' texts."""

import random
import re
from collections.abc import Iterator
from dataclasses import replace

from gr2_jax.corpus.collection import Collection
from gr2_jax.corpus.sentences import HOLE, sentences, word_count

_SHORTEST, _LONGEST = 6, 40  # words of a sentence that is a query
_REMAINING = 3  # sentences that a document keeps at least


def lend_sentences(collection: Collection, documents: int, *, seed: int) -> Collection:
    """Returns the collection with other queries: one for each of up to `documents` documents, a sentence of 6 to 40
    words, which is taken out of the document's text. The document is its only relevant one, with grade 1 (known-item
    search).

    A document lends no sentence that begins its text or that another document has, and none where fewer than three
    would remain. Which documents lend which sentences depends on the seed and the documents alone; smaller numbers lend
    a part of what larger ones lend.
    """
    texts = [document.text for document in collection.documents]
    collapsed = [" ".join(text.split()) for text in texts]  # as `sentences` gives them
    order = random.Random(seed).sample(range(len(texts)), len(texts))
    lent: dict[int, tuple[str, str]] = {}
    for row in order:
        if len(lent) == documents:
            break
        for sentence, rest in _lendable(texts[row], f"{seed}/{collection.documents[row].doc_id}"):
            if not any(sentence in text for place, text in enumerate(collapsed) if place != row):
                lent[row] = sentence, rest
                break
    changed = [
        replace(document, text=lent[row][1]) if row in lent else document
        for row, document in enumerate(collection.documents)
    ]
    queries = {changed[row].doc_id: lent[row][0] for row in sorted(lent)}
    return replace(
        collection,
        documents=tuple(changed),
        queries={query_of(doc_id): sentence for doc_id, sentence in queries.items()},
        qrels={query_of(doc_id): {doc_id: 1} for doc_id in queries},
        provenance=collection.provenance | {"queries": f"{len(queries)} sentences taken out of documents, seed {seed}"},
    )


def query_of(doc_id: str) -> str:
    """The id of the query that a document lends."""
    return f"item:{doc_id}"


def _lendable(text: str, key: str) -> Iterator[tuple[str, str]]:
    """(sentence, the text without it) for each sentence that may be lent, in random order."""
    first, *others = sentences(text) or ("",)
    if len(others) < _REMAINING:
        return
    for sentence in random.Random(key).sample(others, len(others)):
        if HOLE in sentence or not _SHORTEST <= word_count(sentence) <= _LONGEST or sentence in first:
            continue
        rest = without_sentence(text, sentence)
        if len(rest) < len(text):
            yield sentence, rest


def without_sentence(text: str, sentence: str) -> str:
    """The text of a document that lends this sentence."""
    return re.sub(r"\s+".join(map(re.escape, sentence.split())), " ", text)
