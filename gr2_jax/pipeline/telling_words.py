"""The telling words of documents as docids: how many documents have each word, then candidates.

Of a large collection worker processes find both in its files; they open no run.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int32

from gr2_jax.array_files import growing_array, map_array
from gr2_jax.corpus import read_rows
from gr2_jax.corpus.scripts import blankless
from gr2_jax.data.token_files import TokenRows, map_token_rows
from gr2_jax.data.vocabulary import Tokenizer
from gr2_jax.docids.candidates import narrow_lists
from gr2_jax.docids.keywords import DocumentFrequencies, keyword_candidates, pieces_of, tf_idf, words_of
from gr2_jax.pipeline.texts import TASKS_ON_DISK
from gr2_jax.pipeline.workers import in_workers
from gr2_jax.progress import progress

SLICE = 4096  # documents whose words are counted at a time
RANGE = 262_144  # documents that a worker counts before it sends 16 MiB of counts

Rows = Int[np.ndarray, "n"]
Lists = Int[np.ndarray, "n C T"]


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What decides the docids, beside the documents and the vocabulary: `least`, `most` and `common` of `Keywords`, the
    tokens of a docid at most, and the ids beside the sentinels that are no text."""

    least: int
    most: int
    common: float
    max_length: int
    special: tuple[int, ...]


class TellingWords:
    """The words of documents, of which there are `tokens`, and `titles` for any rows."""

    def __init__(
        self,
        tokens: Int[np.ndarray, "N T"] | TokenRows,
        titles: Callable[[Rows], Sequence[str]],
        tokenizer: Tokenizer,
        wanted: Wanted,
    ):
        self._tokens, self._titles, self._tokenizer, self._wanted = tokens, titles, tokenizer, wanted
        special = [*wanted.special, *tokenizer.sentinels]
        self._pieces = pieces_of(tokenizer.pieces, special=special, blankless=blankless())

    def frequencies(self, rows: range) -> DocumentFrequencies:
        """In how many of the documents each word is."""
        counted = DocumentFrequencies()
        for start in rows[::SLICE]:
            block = self._tokens[start : min(start + SLICE, rows.stop)]
            counted.add(words_of(block, self._pieces), len(block))
        return counted

    def candidates(self, rows: Rows, frequencies: DocumentFrequencies) -> Lists:
        texts, wanted = self._tokens[rows], self._wanted
        words = words_of(texts, self._pieces)
        weights = tf_idf(words, frequencies, common=wanted.common)
        leading = np.array([len(title) for title in self._tokenizer.encode_batch(self._titles(rows))])
        lengths = {"least": wanted.least, "most": wanted.most, "max_length": wanted.max_length}
        return keyword_candidates(texts, words, weights, leading, **lengths)


@dataclasses.dataclass(frozen=True)
class StoredWords:
    """The words of a collection in files, which workers open.

    corpus        the folder with the stored documents
    examples      the folder with their tokens
    vocabulary    the SentencePiece file
    frequencies   the file that `count` writes; its name changes with whatever decides the docids
    documents     how many there are
    """

    corpus: Path
    examples: Path
    vocabulary: Path
    extra_ids: int
    frequencies: Path
    documents: int
    wanted: Wanted

    def count(self) -> DocumentFrequencies:
        """In how many documents each word is; written, too, for workers that make candidates."""
        every, total = range(self.documents), DocumentFrequencies()
        ranges = [every[start : start + RANGE] for start in every[::RANGE]]
        with progress(self.documents, "words of documents") as bar:
            for rows, counts in zip(ranges, in_workers(self._counts, ranges), strict=True):
                total.add_counts(counts, len(rows))
                bar.advance(len(rows))
        with growing_array(self.frequencies, np.int64) as file:
            file.append(total.counts)
        return total

    def candidates(self, blocks: Iterable[Rows]) -> Iterator[Lists]:
        """Those of each block of documents, in order, once the words are counted."""
        return in_workers(self._candidates, blocks)

    def _counts(self, rows: range) -> Int32[np.ndarray, "B"]:
        return _words(self).frequencies(rows).counts.astype(np.int32)

    def _candidates(self, rows: Rows) -> Lists:
        return narrow_lists(_words(self).candidates(rows, _frequencies(self)))


@functools.lru_cache(maxsize=1)
def _words(stored: StoredWords) -> TellingWords:
    return TellingWords(
        map_token_rows(stored.examples, "documents", width=TASKS_ON_DISK["documents"]),
        lambda rows: [document.title for document in read_rows(stored.corpus, rows)],
        Tokenizer(stored.vocabulary, extra_ids=stored.extra_ids),
        stored.wanted,
    )


@functools.lru_cache(maxsize=1)
def _frequencies(stored: StoredWords) -> DocumentFrequencies:
    return DocumentFrequencies(map_array(stored.frequencies, ndim=1), stored.documents)
