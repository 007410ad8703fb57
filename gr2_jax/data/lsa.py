"""Latent semantic analysis over the vocabulary's tokens, to initialise a model that is trained from scratch."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class TokenSemantics(NamedTuple):
    """token_vectors [V, F], document_vectors [N, F] in one space, and log_idf [V] (0 where a token was never seen)."""

    token_vectors: np.ndarray
    document_vectors: np.ndarray
    log_idf: np.ndarray


def token_semantics(texts: Sequence[Sequence[int]], vocab_size: int, *, features: int, seed: int) -> TokenSemantics:
    """Truncated SVD of the tf-idf matrix (log tf, smoothed idf, unit rows) of tokenised `texts`.

    With fewer texts or tokens than `features`, the missing columns are zero.
    """
    import scipy.sparse
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.utils.extmath import randomized_svd

    lengths = [len(t) for t in texts]
    columns = np.concatenate([np.asarray(t, np.int32) for t in texts])
    rows = np.repeat(np.arange(len(texts)), lengths)
    counts = scipy.sparse.csr_matrix((np.ones(len(columns)), (rows, columns)), shape=(len(texts), vocab_size))
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
