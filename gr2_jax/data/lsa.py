"""Latent semantic analysis over the vocabulary's tokens, to initialise a model that is trained from scratch."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class TokenSemantics(NamedTuple):
    """token_vectors [V, F], document_vectors [N, F] in one space, and log_idf [V] (0 where a token was never seen)."""

    token_vectors: np.ndarray
    document_vectors: np.ndarray
    log_idf: np.ndarray

    def vectors_of(self, texts: Sequence[Sequence[int]]) -> Float[np.ndarray, "n F"]:
        """Vectors of texts that the semantics was not made of, in the same space: X V / sqrt(S) of the decomposition
        X = U S V^T, whose sqrt(S) are the lengths of the columns of `token_vectors`."""
        from sklearn.preprocessing import normalize

        counts = _counts(texts, len(self.token_vectors))
        counts.data = (1 + np.log(counts.data)) * np.exp(self.log_idf)[counts.indices]
        singular = np.square(self.token_vectors).sum(axis=0)
        return (normalize(counts) @ (self.token_vectors / np.where(singular > 0, singular, 1))).astype(np.float32)


def token_semantics(texts: Sequence[Sequence[int]], vocab_size: int, *, features: int, seed: int) -> TokenSemantics:
    """Truncated SVD of the tf-idf matrix (log tf, smoothed idf, unit rows) of tokenised `texts`.

    With fewer texts or tokens than `features`, the missing columns are zero.
    """
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.utils.extmath import randomized_svd

    counts = _counts(texts, vocab_size)
    tfidf = TfidfTransformer(sublinear_tf=True).fit(counts)
    weighted = tfidf.transform(counts)
    rank = min(features, *weighted.shape)
    left, singular, right = randomized_svd(weighted, rank, n_iter=4, random_state=seed)
    pad = [(0, 0), (0, features - rank)]
    seen = np.asarray(counts.sum(axis=0)).ravel() > 0
    return TokenSemantics(
        np.pad((right.T * np.sqrt(singular)).astype(np.float32), pad),
        np.pad((left * np.sqrt(singular)).astype(np.float32), pad),
        np.where(seen, np.log(tfidf.idf_), 0.0).astype(np.float32),
    )


def _counts(texts: Sequence[Sequence[int]], vocab_size: int):
    """The sparse matrix [texts, vocab_size] of how often each text has each token."""
    import scipy.sparse

    columns = np.concatenate([np.asarray(t, np.int32) for t in texts])
    rows = np.repeat(np.arange(len(texts)), [len(t) for t in texts])
    return scipy.sparse.csr_matrix((np.ones(len(columns)), (rows, columns)), shape=(len(texts), vocab_size))
