import math

import numpy as np
import pytest

from gr2_jax.data.lsa import token_semantics

VOCABULARY = 14  # 0, 1 and 13 never occur
TEXTS = [
    [2, 3, 4, 4, 4],
    [3, 5, 6],
    [2, 2, 7, 8],
    [9, 10, 3],
    [11, 4, 5, 5],
    [12, 6, 2],
    [8, 8, 8, 9],
    [7, 3, 10, 11],
]


def plain_idf(texts):
    """ln((1 + N) / (1 + df)) + 1."""
    return [math.log((1 + len(texts)) / (1 + sum(token in text for text in texts))) + 1 for token in range(VOCABULARY)]


def plain_tfidf(texts):
    """(1 + ln tf) idf, rows of length 1, in loops over texts and tokens."""
    idf, matrix = plain_idf(texts), np.zeros((len(texts), VOCABULARY))
    for i, text in enumerate(texts):
        for token in set(text):
            matrix[i, token] = (1 + math.log(text.count(token))) * idf[token]
        matrix[i] /= math.sqrt(sum(value**2 for value in matrix[i])) or 1.0
    return matrix


def assert_equals_dense_svd(found, texts, features):
    left, singular, right = np.linalg.svd(plain_tfidf(texts), full_matrices=False)
    left, singular, right = left[:, :features], singular[:features], right[:features]
    scale = np.sqrt(singular)
    tokens, documents = right.T * scale, left * scale
    close = {"rtol": 0, "atol": 2e-6}
    np.testing.assert_allclose(found.token_vectors @ found.token_vectors.T, tokens @ tokens.T, **close)
    np.testing.assert_allclose(found.document_vectors @ found.document_vectors.T, documents @ documents.T, **close)
    # one space: the product is the best approximation of that rank, so signs agree between the two
    np.testing.assert_allclose(found.document_vectors @ found.token_vectors.T, documents @ tokens.T, **close)


@pytest.mark.parametrize("features", [2, 5])
def test_vectors_are_those_of_a_dense_svd(features):
    found = token_semantics(TEXTS, VOCABULARY, features=features, seed=0)
    assert found.token_vectors.shape == (VOCABULARY, features)
    assert found.document_vectors.shape == (len(TEXTS), features)
    assert_equals_dense_svd(found, TEXTS, features)


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:2], TEXTS[:1]])
def test_with_fewer_texts_than_features_nothing_is_lost_and_the_rest_is_zero(texts):
    found = token_semantics(texts, VOCABULARY, features=20, seed=0)
    assert found.token_vectors.shape == (VOCABULARY, 20)
    assert_equals_dense_svd(found, texts, 20)
    assert not found.token_vectors[:, len(texts) :].any()
    assert not found.document_vectors[:, len(texts) :].any()


def test_a_text_without_tokens_has_a_zero_vector():
    found = token_semantics([*TEXTS, []], VOCABULARY, features=4, seed=0)
    assert_equals_dense_svd(found, [*TEXTS, []], 4)
    assert np.abs(found.document_vectors[-1]).max() < 1e-6


def test_log_idf():
    found = token_semantics(TEXTS, VOCABULARY, features=3, seed=0).log_idf
    seen = {token for text in TEXTS for token in text}
    expected = [math.log(idf) if token in seen else 0.0 for token, idf in enumerate(plain_idf(TEXTS))]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_types_and_determinism():
    one, other = (token_semantics([np.array(t) for t in TEXTS], VOCABULARY, features=3, seed=4) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("features", [2, 5, 20])
def test_texts_that_came_later_lie_in_the_space_of_the_others(features):
    found = token_semantics(TEXTS, VOCABULARY, features=features, seed=0)
    np.testing.assert_allclose(found.vectors_of(TEXTS), found.document_vectors, rtol=0, atol=2e-6)
    later = [[4, 4, 9], [13, 2], [3]]
    idf = np.where(found.log_idf == 0, 1.0, plain_idf(TEXTS))  # a token that no text had
    weighted = np.zeros((3, VOCABULARY))
    for i, text in enumerate(later):
        for token in set(text):
            weighted[i, token] = (1 + math.log(text.count(token))) * idf[token]
        weighted[i] /= np.linalg.norm(weighted[i])
    _, singular, right = np.linalg.svd(plain_tfidf(TEXTS), full_matrices=False)
    kept = min(features, len(TEXTS))
    projected = weighted @ right[:kept].T / np.sqrt(singular[:kept])
    vectors = found.vectors_of(later)
    assert vectors.dtype == np.float32
    # up to the signs of the columns, which products do not show
    expected = projected @ (right[:kept].T * np.sqrt(singular[:kept])).T
    np.testing.assert_allclose(vectors @ found.token_vectors.T, expected, rtol=0, atol=2e-6)
