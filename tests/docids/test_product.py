import itertools

import numpy as np
import pytest

from gr2_jax.docids.codes import product_codes
from gr2_jax.errors import UserError

PARTS, CODES = 3, 5
SLICES = (slice(0, 3), slice(3, 5), slice(5, 7))  # of seven features


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(0).normal(size=(150, 7)).astype(np.float32) * 4


@pytest.fixture(scope="module")
def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def found(vectors):
    return product_codes(vectors, parts=PARTS, codes=CODES, seed=1)


def test_a_centroid_is_zero_outside_its_slice(found):
    assert found.codes.shape == (150, PARTS)
    assert found.codes.dtype == np.int32
    assert found.centroids.shape == (PARTS, CODES, 7)
    assert found.centroids.dtype == np.float32
    for part, columns in enumerate(SLICES):
        assert (found.centroids[part][:, columns] != 0).all()
        assert np.count_nonzero(found.centroids[part]) == CODES * (columns.stop - columns.start)


def test_a_code_is_the_nearest_centroid_of_its_slice_and_a_centroid_its_mean(found, unit):
    for part, columns in enumerate(SLICES):
        centroids, codes = found.centroids[part][:, columns], found.codes[:, part]
        distances = np.square(unit[:, None, columns] - centroids).sum(axis=-1)
        np.testing.assert_array_equal(codes, distances.argmin(axis=1))
        for code in range(CODES):
            np.testing.assert_allclose(centroids[code], unit[codes == code, columns].mean(axis=0), atol=2e-2)


def test_every_part_brings_the_sum_nearer_to_the_unit_vector(found, unit):
    guess, errors = np.zeros_like(unit), [1.0]
    for part in range(PARTS):
        guess = guess + found.centroids[part][found.codes[:, part]]
        errors.append(np.square(unit - guess).sum(axis=1).mean())
    assert all(after < before - 0.1 for before, after in itertools.pairwise(errors)), errors


def test_only_the_direction_and_the_seed_matter(found, vectors):
    again = product_codes(vectors * np.float32(2), parts=PARTS, codes=CODES, seed=1)
    assert again.codes.tobytes() == found.codes.tobytes()
    assert again.centroids.tobytes() == found.centroids.tobytes()
    assert (product_codes(vectors, parts=PARTS, codes=CODES, seed=2).codes != found.codes).any()


@pytest.mark.parametrize(
    ("features", "parts", "sentence"),
    [
        (7, 8, "vectors of 7 features cannot be cut into 8 parts: there must be at least as many features as parts"),
        (1, 2, "vectors of 1 feature cannot be cut into 2 parts: there must be at least as many features as parts"),
        (7, 0, "vectors must be cut into at least 1 part, not 0"),
    ],
)
def test_refuses_parts_without_a_feature(vectors, features, parts, sentence):
    with pytest.raises(UserError, match=f"^{sentence}$"):
        product_codes(vectors[:, :features], parts=parts, codes=2, seed=0)


def test_refuses_more_codes_than_documents(vectors):
    with pytest.raises(UserError, match=r"^151 codes cannot be learnt from 150 documents: "):
        product_codes(vectors, parts=2, codes=151, seed=0)
