"""Latent semantic analysis: an untrained dense baseline that a trained retriever should beat."""

from collections.abc import Callable, Sequence

from gr2_jax.errors import UserError
from gr2_jax.evaluation.trec import Run, best_first


def lsa_run(
    doc_ids: Sequence[str],
    texts: Sequence[str],
    queries: dict[str, str],
    *,
    k: int = 100,
    dimensions: int = 128,
    seed: int = 0,
) -> Run:
    """Returns the `k` documents nearest to each query by cosine in a truncated SVD of the tf-idf matrix.

    With X [N, V] the documents' tf-idf rows (1 + log tf, Porter2 stems, English stop words left out) and X ~ U S Vt
    cut to `dimensions`, a text with tf-idf row x lies at x V. Documents whose cosine is not above 0, empty ones among
    them, are not returned.

    Args:
        doc_ids: N document ids.
        texts: N texts.
        queries: Query id -> text.
        k: The longest list to return.
        dimensions: At most this many; fewer where the collection has fewer documents or words.
        seed: Of the randomised SVD.

    Raises:
        UserError: The documents hold fewer than two different words.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    vectorizer = TfidfVectorizer(analyzer=_stems(), sublinear_tf=True)
    try:
        weights = vectorizer.fit_transform(texts)
    except ValueError as error:  # scikit-learn's "empty vocabulary"
        raise UserError(f"LSA cannot index {len(texts)} documents without a single word") from error
    if weights.shape[1] < 2:
        raise UserError(f"LSA needs two different words, found only {vectorizer.get_feature_names_out()[0]!r}")
    svd = TruncatedSVD(min(dimensions, *weights.shape), random_state=seed)
    documents = normalize(svd.fit_transform(weights))
    run: Run = {}
    for query_id, text in queries.items():
        vector = normalize(svd.transform(vectorizer.transform([text])))[0]
        run[query_id] = best_first(doc_ids, documents @ vector, k)
    return run


def _stems() -> Callable[[str], list[str]]:
    """Words as scikit-learn splits them, reduced to Porter2 stems as in BM25."""
    import Stemmer
    from sklearn.feature_extraction.text import CountVectorizer

    words = CountVectorizer(stop_words="english").build_analyzer()
    stemmer = Stemmer.Stemmer("english")
    return lambda text: stemmer.stemWords(words(text))
