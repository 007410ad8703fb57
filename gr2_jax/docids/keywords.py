"""Docids of telling words: a document's words in the order in which they tell it apart, as many as make it unique.

Everything works on the vocabulary's tokens, so any language and script is served. A word is a run of tokens that hold
letters or digits, from one that begins a word (in SentencePiece, with "▁") to the next. In scripts that put no blanks
between words each token is a word.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Int32, UInt64

from gr2_jax.docids.taken import hash_tokens

_BUCKETS = 1 << 22  # for document frequencies of any number of words: 32 MiB


class Pieces(NamedTuple):
    """What the vocabulary's tokens are, [V] each."""

    writes: Bool[np.ndarray, "V"]
    """The token holds a letter or digit; other tokens stand between words."""
    begins: Bool[np.ndarray, "V"]
    """The token begins a word, or is one."""


class Words(NamedTuple):
    """The different words of some documents, document by document, each document's in order of first occurrence."""

    row: Int[np.ndarray, "W"]
    """The document, from 0."""
    start: Int[np.ndarray, "W"]
    """The position of its first token where it first occurs."""
    length: Int[np.ndarray, "W"]
    """How many tokens it has."""
    count: Int[np.ndarray, "W"]
    """How often the document has it."""
    hash: UInt64[np.ndarray, "W"]


def pieces_of(texts: Sequence[str], *, special: Iterable[int], blankless: str) -> Pieces:
    """The vocabulary's tokens by their texts, in SentencePiece's spelling. The ids `special` are no text; `blankless`
    are the letters of scripts that put no blanks between words, as the inside of `[...]` in a regular expression."""
    alone = re.compile(f"[{blankless}]")
    writes = np.array([any(map(str.isalnum, text)) for text in texts])
    writes[list(special)] = False
    return Pieces(writes, np.array([text.startswith("▁") or alone.search(text) is not None for text in texts]))


def words_of(tokens: Int[np.ndarray, "n T"], pieces: Pieces) -> Words:
    """The words of documents, 0-padded."""
    writes = pieces.writes[tokens]
    after_word = np.pad(writes, [(0, 0), (1, 0)])[:, :-1]
    begins = writes & (pieces.begins[tokens] | ~after_word)
    row, start = np.nonzero(begins)
    if not row.size:
        return Words(*np.zeros((4, 0), np.int64), np.zeros(0, np.uint64))
    heads = np.flatnonzero(begins[writes])  # among the tokens of words, those that begin one
    length = np.diff(np.append(heads, np.count_nonzero(writes)))
    place = np.arange(length.sum()) - np.repeat(heads, length)
    hashes = np.add.reduceat(hash_tokens(tokens[writes], place), heads)
    order = np.lexsort((hashes, row))  # stable: equal words stay in order of occurrence
    new = (np.diff(row[order], prepend=-1) != 0) | np.concatenate([[True], hashes[order][1:] != hashes[order][:-1]])
    first, count = order[new], np.diff(np.append(np.flatnonzero(new), row.size))
    back = np.argsort(first)
    first = first[back]
    return Words(row[first], start[first], length[first], count[back], hashes[first])


class DocumentFrequencies:
    """In how many documents each word is, by 22 bits of its hash: a rare word may be counted with another."""

    def __init__(self, counts: Int[np.ndarray, "B"] | None = None, documents: int = 0) -> None:
        self.counts = np.zeros(_BUCKETS, np.int64) if counts is None else counts
        self.documents = documents

    def add(self, words: Words, documents: int) -> None:
        """Counts the words of `documents` more documents."""
        self.add_counts(np.bincount(_bucket(words), minlength=_BUCKETS), documents)

    def add_counts(self, counts: Int[np.ndarray, "B"], documents: int) -> None:
        """Adds what was counted of `documents` more documents."""
        self.counts += counts
        self.documents += documents

    def of(self, words: Words) -> Int[np.ndarray, "W"]:
        return self.counts[_bucket(words)]


def _bucket(words: Words) -> Int[np.ndarray, "W"]:
    return (words.hash % np.uint64(_BUCKETS)).astype(np.int64)


def tf_idf(words: Words, frequencies: DocumentFrequencies, *, common: float = 1.0) -> Float[np.ndarray, "W"]:
    """(1 + ln tf) ln(N / df); 0 for words of more than the share `common` of the documents and of more than one. A
    document that is the only one counts as one of two."""
    found, documents = frequencies.of(words), frequencies.documents
    weights = (1 + np.log(words.count)) * np.log(max(documents, 2) / found)
    return np.where(found > max(common * documents, 1), 0.0, weights)


def keyword_candidates(
    tokens: Int[np.ndarray, "n T"],
    words: Words,
    weights: Float[np.ndarray, "W"],
    leading: Int[np.ndarray, "n"],
    *,
    least: int,
    most: int,
    max_length: int,
    others: int = 16,
) -> Int32[np.ndarray, "n C max_length"]:
    """For each document docids of its `least` most telling words, of one more and so on to `most`; then docids that end
    in one of `others` further words. 0-padded; empty where a document has too few words.

    The words that begin within the first `leading` tokens, a title's, are more telling than all others; of each, those
    of the larger weight. Words without weight are left out, and so are words longer than `max_length` tokens, and
    those that begin with the same token as a more telling one ("wing", "wings"). No docid is cut: it has as many words
    as `max_length` tokens hold.
    """
    table = _most_telling(tokens, words, weights, leading, max_length, most + others)
    lengths = np.count_nonzero(table, axis=2)
    ends = np.pad(np.cumsum(lengths[:, :most], axis=1), [(0, 0), (1, 0)])  # [n, 1 + most]: of the first k words
    used = np.count_nonzero((lengths[:, :most] > 0) & (ends[:, 1:] <= max_length), axis=1)
    docid = np.zeros((len(tokens), max_length), np.int32)
    for k in range(most):
        docid = np.where((k < used)[:, None], _joined(docid, ends[:, k], table[:, k]), docid)

    def first(k: Int[np.ndarray, "n"]) -> Int32[np.ndarray, "n T"]:
        return np.where(np.arange(max_length) < np.take_along_axis(ends, k[:, None], axis=1), docid, 0)

    prefixes = [first(np.minimum(least, used))]
    prefixes += [np.where((k <= used)[:, None], first(np.minimum(k, used)), 0) for k in range(least + 1, most + 1)]
    stem, length = first(np.maximum(used - 1, 0)), ends[np.arange(len(ends)), np.maximum(used - 1, 0)]
    endings = []
    for k in range(least, most + others):
        fits = (k >= used) & (lengths[:, k] > 0) & (length + lengths[:, k] <= max_length)
        endings.append(np.where(fits[:, None], _joined(stem, length, table[:, k]), 0))
    return np.stack(prefixes + endings, axis=1)


def _most_telling(
    tokens: Int[np.ndarray, "n T"],
    words: Words,
    weights: Float[np.ndarray, "W"],
    leading: Int[np.ndarray, "n"],
    max_length: int,
    count: int,
) -> Int32[np.ndarray, "n count max_length"]:
    """Each document's words in the order of docids, spelled; 0 where it has fewer."""
    order = np.lexsort((words.start, -weights, words.start >= leading[words.row], words.row))
    order = order[(weights[order] > 0) & (words.length[order] <= max_length)]
    head = words.row[order] * (tokens.max(initial=0) + 1) + tokens[words.row[order], words.start[order]]
    order = order[np.sort(np.unique(head, return_index=True)[1])]
    rank = np.arange(order.size) - np.searchsorted(words.row[order], words.row[order])
    order, rank = order[rank < count], rank[rank < count]
    row, start, length = words.row[order], words.start[order], words.length[order]
    table = np.zeros((len(tokens), count, max_length), np.int32)
    for place in range(length.max(initial=0)):
        longer = length > place
        table[row[longer], rank[longer], place] = tokens[row[longer], start[longer] + place]
    return table


def _joined(
    docids: Int32[np.ndarray, "n T"], lengths: Int[np.ndarray, "n"], word: Int32[np.ndarray, "n T"]
) -> Int32[np.ndarray, "n T"]:
    """Docids of `lengths` tokens, each with a word after it, as far as T reaches."""
    place = np.arange(docids.shape[1]) - lengths[:, None]
    return np.where(place < 0, docids, np.take_along_axis(word, np.maximum(place, 0), axis=1))
