"""BM25, the lexical baseline, through bm25s."""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise

import numpy as np
from jaxtyping import Int32, Int64

from gr2_jax.errors import UserError
from gr2_jax.search.searcher import Hit, TextIndex
from gr2_jax.search.words import split_off, word_pattern

_AT_ONCE = 8192  # texts whose words are in memory as strings


def bm25_where_possible(doc_ids: Sequence[str], texts: Iterable[str]) -> "BM25 | None":
    """The index; None where no document holds a word."""
    try:
        return BM25(doc_ids, texts)
    except UserError:
        return None


class BM25(TextIndex):
    """An index of texts: Lucene's BM25, k1 = 1.5, b = 0.75, English stop words, Porter2 stems; for scripts without
    blanks between words see `gr2_jax.search.words`.

    Importing bm25s starts JAX's backend: in a program of several processes build the index after
    `jax.distributed.initialize`.
    """

    def __init__(self, doc_ids: Sequence[str], texts: Iterable[str]):
        """Builds the index; a document may be empty, it is then never found. The texts are read once and not kept.
        Building takes 4 bytes a word, and 20 for every different word of a document, of which 8 stay.

        Raises:
            UserError: No document holds a word.
        """
        import bm25s
        import Stemmer

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it asks for DEBUG on import
        self._doc_ids = list(doc_ids)
        self._stemmer = Stemmer.Stemmer("english")
        words = self._words(texts)
        if not words.vocab:
            raise UserError(f"BM25 cannot index {len(self._doc_ids)} documents without a single word")
        self._index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
        self._index.index(words, show_progress=False)

    @property
    def index_bytes(self) -> int:
        """Bytes of the matrix of scores, and of the words of its rows in UTF-8."""
        words = sum(len(word.encode()) for word in self._index.vocab_dict)
        return words + sum(array.nbytes for array in self._index.scores.values() if hasattr(array, "nbytes"))

    def search(self, queries: Sequence[str], k: int = 20, *, whole_batches: bool = False) -> list[list[Hit]]:
        """The `k` best documents of each query, equal scores in document order; documents that share no word with the
        query are not returned."""
        # bm25s's own retrieve() fills up with zero scores and breaks ties by the backend's partition.
        scores = (self._index.get_scores_from_ids(self._index.get_tokens_ids(words)) for words in self._tokens(queries))
        return [self._best(own, k) for own in scores]

    def _words(self, texts: Iterable[str]) -> "_Words":
        vocab: dict[str, int] = {}
        ids, lengths, passing = [np.zeros(0, np.int32)], [0], iter(texts)
        while block := list(islice(passing, _AT_ONCE)):
            tokens = self._tokens(block)
            word_ids = (vocab.setdefault(word, len(vocab)) for words in tokens for word in words)
            lengths += map(len, tokens)
            ids.append(np.fromiter(word_ids, np.int32))
        return _Words(_Texts(np.concatenate(ids), np.cumsum(lengths)), vocab)

    def _tokens(self, texts: Sequence[str]) -> list[list[str]]:
        import bm25s

        split = [split_off(text) for text in texts]
        tokens = bm25s.tokenize(
            [rest for rest, _ in split],
            token_pattern=word_pattern(),
            stopwords="en",
            stemmer=self._stemmer,
            return_ids=False,
            show_progress=False,
        )
        return [words + pairs for words, (_, pairs) in zip(tokens, split, strict=True)]


@dataclasses.dataclass(frozen=True, eq=False)
class _Texts:
    """The word ids of all texts in one array. bm25s iterates over it, and gets a list for each text."""

    ids: Int32[np.ndarray, "W"]
    starts: Int64[np.ndarray, "N+1"]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __iter__(self) -> Iterator[list[int]]:
        return (self.ids[start:end].tolist() for start, end in pairwise(self.starts.tolist()))


@dataclasses.dataclass(frozen=True, eq=False)
class _Words:
    """Tokenised texts as bm25s takes them: word ids, and the id of each word."""

    ids: _Texts
    vocab: dict[str, int]
