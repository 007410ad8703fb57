import itertools

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from gr2_jax.docids import codes as codes_module
from gr2_jax.docids.clusters import UnitRows, learn_centroids
from gr2_jax.docids.codes import nearest_tuples, residual_codes
from gr2_jax.errors import UserError

LEVELS, CODES = 3, 6


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(120, 5)).astype(np.float32) * rng.uniform(0.1, 9, (120, 1)).astype(np.float32)
    vectors[17] = 0.0  # a document without a direction
    return vectors


@pytest.fixture(scope="module")
def found(vectors):
    return residual_codes(vectors, levels=LEVELS, codes=CODES, seed=1)


def unit(vectors):
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)


def test_shapes(found):
    assert found.codes.shape == (120, LEVELS)
    assert found.centroids.shape == (LEVELS, CODES, 5)
    assert all(set(level) == set(range(CODES)) for level in found.codes.T.tolist())


def test_every_level_brings_the_reconstruction_nearer(found, vectors):
    sums = np.cumsum([found.centroids[level][found.codes[:, level]] for level in range(LEVELS)], axis=0)
    errors = [np.square(unit(vectors) - guess).sum() for guess in (0.0, *sums)]
    assert all(after < 0.8 * before for before, after in itertools.pairwise(errors)), errors


def test_a_code_is_the_nearest_centroid_of_the_residual_and_a_centroid_its_mean(found, vectors):
    left = unit(vectors)
    for level in range(LEVELS):
        codes, centroids = found.codes[:, level], found.centroids[level]
        distances = np.square(left[:, None] - centroids).sum(axis=-1)
        chosen = distances[np.arange(len(left)), codes]
        np.testing.assert_allclose(chosen, distances.min(axis=1), atol=1e-6)
        for code in range(CODES):
            np.testing.assert_allclose(centroids[code], left[codes == code].mean(axis=0), atol=1e-2)
        left = left - centroids[codes]


def test_residuals_do_not_gather_around_zero():
    """Beside plain k-means on the same residuals: smaller clusters, more documents alone, and a smaller error."""
    rng = np.random.default_rng(6)
    many = (rng.normal(size=(900, 64)) * np.exp(rng.normal(size=(900, 64)))).astype(np.float32)
    coded = residual_codes(many, levels=2, codes=150, seed=0)
    left = unit(many) - coded.centroids[0][coded.codes[:, 0]]
    plain = learn_centroids(left, 150, seed=1)
    others = np.square(left[:, None] - plain).sum(axis=-1).argmin(axis=1)

    def told(codes, centroids):
        pairs = np.stack([coded.codes[:, 0], codes], axis=1)
        alone = np.unique(pairs, axis=0, return_counts=True)[1]
        error = np.square(left - centroids[codes]).sum(axis=1).mean()
        return np.bincount(codes).max(), (alone == 1).sum(), error

    ours, theirs = told(coded.codes[:, 1], coded.centroids[1]), told(others, plain)
    assert ours[0] < theirs[0] / 4
    assert ours[1] > 1.1 * theirs[1]
    assert ours[2] < theirs[2]


def test_only_the_direction_matters(found, vectors):
    scaled = residual_codes(vectors * np.float32(4), levels=LEVELS, codes=CODES, seed=1)
    np.testing.assert_array_equal(scaled.codes, found.codes)


def test_threads_do_not_change_the_bytes():
    many = np.random.default_rng(2).normal(size=(2500, 16)).astype(np.float32)
    runs = []
    for threads in (8, 8, 1):
        with threadpool_limits(threads):
            runs.append(residual_codes(many, levels=1, codes=16, seed=3))
    assert len({run.codes.tobytes() for run in runs}) == 1
    assert len({run.centroids.tobytes() for run in runs}) == 1


def test_another_seed_gives_other_codes(found, vectors):
    assert (residual_codes(vectors, levels=1, codes=CODES, seed=2).codes[:, 0] != found.codes[:, 0]).any()


def test_a_memory_mapped_file_with_a_zero_vector_is_coded_like_its_array(found, vectors, tmp_path):
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = residual_codes(np.load(tmp_path / "vectors.npy", mmap_mode="r"), levels=LEVELS, codes=CODES, seed=1)
    np.testing.assert_array_equal(mapped.codes, found.codes)
    assert mapped.codes.dtype == np.int32
    assert mapped.centroids.dtype == np.float32
    assert not np.isnan(mapped.centroids).any()


def test_vectors_outside_the_sample_are_coded_level_by_level(monkeypatch):
    monkeypatch.setattr(codes_module, "SAMPLE_PER_CODE", 4)
    many = np.random.default_rng(4).normal(size=(200, 4)).astype(np.float32)
    coded = residual_codes(many, levels=2, codes=5, seed=0)
    left = unit(many)
    for level in range(2):
        expected = [np.square(vector - coded.centroids[level]).sum(axis=-1).argmin() for vector in left]
        np.testing.assert_array_equal(coded.codes[:, level], expected)
        left = left - coded.centroids[level][expected]


def test_refuses_more_codes_than_documents(vectors):
    with pytest.raises(UserError, match=r"^121 codes cannot be learnt from 120 documents: there must be "):
        residual_codes(vectors, levels=1, codes=121, seed=0)
    with pytest.raises(UserError, match=r"^8 codes cannot be learnt from 1 document: there must be at least as many"):
        residual_codes(vectors[:1], levels=1, codes=8, seed=0)
    each = residual_codes(vectors[:4], levels=1, codes=4, seed=0)
    assert sorted(each.codes[:, 0].tolist()) == [0, 1, 2, 3]


def distances(vectors, centroids):
    """Every tuple of codes and its squared distance from each vector, by brute force: [n, C^L]."""
    tuples = np.array(list(itertools.product(range(centroids.shape[1]), repeat=len(centroids))))
    sums = sum(centroids[level][tuples[:, level]].astype(np.float64) for level in range(len(centroids)))
    return tuples, np.square(vectors[:, None].astype(np.float64) - sums).sum(axis=-1)


def test_the_nearest_tuples_of_one_level_or_of_enough_beams_are_those_of_brute_force(found, vectors):
    for centroids, beams in ((found.centroids[:1], 4), (found.centroids, CODES**LEVELS)):
        nearest = nearest_tuples(unit(vectors), centroids, beams)
        tuples, every = distances(unit(vectors), centroids)
        best = np.sort(every, axis=1)[:, :beams]
        of_nearest = {tuple(t): i for i, t in enumerate(tuples.tolist())}
        places = np.array([[of_nearest[tuple(t)] for t in own] for own in nearest.tolist()])
        np.testing.assert_allclose(np.take_along_axis(every, places, axis=1), best, atol=1e-5)


def test_few_beams_give_different_tuples_nearest_first_and_no_farther_than_the_greedy_code(found, vectors):
    nearest = nearest_tuples(UnitRows(vectors), found.centroids, 8)
    assert nearest.shape == (120, 8, LEVELS)
    assert all(len(set(map(tuple, own))) == 8 for own in nearest.tolist())
    sums = sum(found.centroids[level][nearest[..., level]] for level in range(LEVELS))
    far = np.square(unit(vectors)[:, None] - sums).sum(axis=-1)
    assert (np.diff(far, axis=1) >= -1e-5).all()
    greedy = sum(found.centroids[level][found.codes[:, level]] for level in range(LEVELS))
    assert (far[:, 0] <= np.square(unit(vectors) - greedy).sum(axis=-1) + 1e-5).all()


def test_slices_of_documents_do_not_change_the_tuples(found, vectors, monkeypatch):
    whole = nearest_tuples(unit(vectors), found.centroids, 5)
    monkeypatch.setattr(codes_module, "_SCORES", 7 * 5 * CODES)
    np.testing.assert_array_equal(nearest_tuples(unit(vectors), found.centroids, 5), whole)
