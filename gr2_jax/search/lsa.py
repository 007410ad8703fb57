"""Latent semantic analysis: an untrained dense baseline that a trained retriever should beat."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float

from gr2_jax.errors import UserError
from gr2_jax.search.searcher import Hit, TextIndex
from gr2_jax.search.words import stems


class LSA(TextIndex):
    """Documents in a truncated SVD of their tf-idf matrix, searched by cosine.

    With X [N, V] the documents' tf-idf rows (1 + log tf, Porter2 stems, English stop words left out) and X ~ U S Vt
    cut to `dimensions`, a text with tf-idf row x lies at x V.
    """

    def __init__(self, doc_ids: Sequence[str], texts: Iterable[str], *, dimensions: int = 128, seed: int = 0):
        """Indexes N texts in at most `dimensions`: fewer where the collection has fewer documents or words. The
        texts are read once and not kept.

        Raises:
            UserError: The documents hold fewer than two different words.
        """
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.preprocessing import normalize

        self._doc_ids = list(doc_ids)
        self._vectorizer = TfidfVectorizer(analyzer=stems(), sublinear_tf=True)
        try:
            weights = self._vectorizer.fit_transform(texts)
        except ValueError as error:  # scikit-learn's "empty vocabulary"
            raise UserError(f"LSA cannot index {len(self._doc_ids)} documents without a single word") from error
        if weights.shape[1] < 2:
            raise UserError(
                f"LSA needs two different words, found only {self._vectorizer.get_feature_names_out()[0]!r}"
            )
        self._svd = TruncatedSVD(min(dimensions, *weights.shape), random_state=seed)
        with np.errstate(invalid="ignore"):  # of identical texts it would say which share of no variance is explained
            self._documents = normalize(self._svd.fit_transform(weights), copy=False)

    @property
    def index_bytes(self) -> int:
        """Bytes of the documents' vectors, the directions, and the words' weights."""
        return self._documents.nbytes + self._svd.components_.nbytes + self._vectorizer.idf_.nbytes

    def search(self, queries: Sequence[str], k: int = 20, *, whole_batches: bool = False) -> list[list[Hit]]:
        """The `k` nearest documents of each query; those whose cosine is not above 0, empty documents among them, are
        left out."""
        return [self._best(self._cosines(text), k) for text in queries]

    def _cosines(self, text: str) -> Float[np.ndarray, " N"]:
        vector = self._svd.transform(self._vectorizer.transform([text]))[0]
        return self._documents @ vector / max(np.linalg.norm(vector), 1e-12)
