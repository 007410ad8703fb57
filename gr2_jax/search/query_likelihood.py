"""Query likelihood with Dirichlet smoothing, the lexical baseline beside BM25."""

from collections.abc import Iterable, Sequence

import numpy as np

from gr2_jax.errors import UserError
from gr2_jax.search.searcher import Hit, TextIndex, check_depth
from gr2_jax.search.words import stems


class QueryLikelihood(TextIndex):
    """log P(q|d) of a unigram model of each document (Zhai and Lafferty, SIGIR 2001):

        score(q, d) = sum over the words w of q of log( (tf(w, d) + mu P(w)) / (|d| + mu) )

    with P(w) the share of w among all words of the collection. Words that no document holds are left out. English stop
    words are left out, and words reduced to Porter2 stems, as in BM25.
    """

    def __init__(self, doc_ids: Sequence[str], texts: Iterable[str], *, mu: float = 1000.0):
        """The texts are read once and not kept. Raises `UserError` where no document holds a word."""
        from sklearn.feature_extraction.text import CountVectorizer

        self._doc_ids, self._mu = list(doc_ids), mu
        self._vectorizer = CountVectorizer(analyzer=stems())
        try:
            counts = self._vectorizer.fit_transform(texts)
        except ValueError as error:  # scikit-learn's "empty vocabulary"
            count = len(self._doc_ids)
            raise UserError(f"query likelihood cannot index {count} documents without a single word") from error
        self._lengths = np.asarray(counts.sum(axis=1)).ravel().astype(np.float64)
        self._shares = np.asarray(counts.sum(axis=0)).ravel() / counts.sum()
        self._counts = counts.tocsc()

    @property
    def index_bytes(self) -> int:
        """Bytes of the counts, the documents' lengths and the words' shares."""
        arrays = (self._counts.data, self._counts.indices, self._counts.indptr, self._lengths, self._shares)
        return sum(array.nbytes for array in arrays)

    def search(self, queries: Sequence[str], k: int = 20, *, whole_batches: bool = False) -> list[list[Hit]]:
        """The `k` likeliest documents of each query that share a word with it, equal scores in document order."""
        check_depth(k)
        return [self._ranked(query, k) for query in queries]

    def _ranked(self, query: str, k: int) -> list[Hit]:
        words = self._vectorizer.transform([query])
        scores, shares = np.zeros(len(self._doc_ids)), np.zeros(len(self._doc_ids), bool)
        for word, times in zip(words.indices, words.data, strict=True):
            column = slice(self._counts.indptr[word], self._counts.indptr[word + 1])
            found = self._counts.indices[column]
            smoothing = self._mu * self._shares[word]
            counts = np.full(len(self._doc_ids), smoothing)
            counts[found] += self._counts.data[column]
            scores += times * np.log(counts / (self._lengths + self._mu))
            shares[found] = True
        rows = np.flatnonzero(shares if self._allowed is None else shares & self._allowed)
        order = rows[np.argsort(-scores[rows], kind="stable")[:k]]
        return [Hit(self._doc_ids[row], "", float(scores[row]), proven=True) for row in order]
