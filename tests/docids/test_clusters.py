import tracemalloc
import warnings

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from gr2_jax.docids import clusters
from gr2_jax.docids.clusters import UnitRows, draw, k_means, nearest
from gr2_jax.errors import UserError


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32) + 3


def brute_force(vectors, centroids):
    """The nearest centroid of each vector, by brute force."""
    return [int(np.square(vector - centroids.astype(np.float64)).sum(axis=1).argmin()) for vector in vectors]


def test_nearest_equals_brute_force_for_any_chunk_size(monkeypatch, vectors):
    centroids = vectors[5:40]
    expected = brute_force(vectors, centroids)
    assert expected[5:40] == list(range(35))
    for rows in (1, 7, 300, 4096):
        monkeypatch.setattr(clusters, "_CHUNK", rows)
        np.testing.assert_array_equal(nearest(vectors, centroids), expected)
    assert nearest(vectors, centroids).dtype == np.int32


def test_nearest_is_exact_far_from_the_origin(vectors):
    near = (vectors - 3) / 100 + 5
    np.testing.assert_array_equal(nearest(near, near[5:40]), brute_force(near, near[5:40]))


def test_ties_between_centroids_go_to_the_first(vectors):
    assert set(nearest(vectors, np.repeat(vectors[:1], 3, axis=0))) == {0}


def test_centroids_come_from_the_sample_alone_and_labels_for_all(vectors):
    found = k_means(vectors, 7, seed=3, sample=60)
    assert found.centroids.shape == (7, 6)
    assert found.centroids.dtype == np.float32
    np.testing.assert_array_equal(found.labels, brute_force(vectors, found.centroids))
    rows = draw(np.arange(300)[:, None], 60, seed=3).ravel().astype(int)
    assert len(set(rows)) == 60
    assert sorted(rows) == rows.tolist()
    elsewhere = vectors + 100
    elsewhere[rows] = vectors[rows]
    np.testing.assert_array_equal(k_means(elsewhere, 7, seed=3, sample=60).centroids, found.centroids)


def test_centroids_are_the_means_of_their_members_where_all_are_sampled(vectors):
    found = k_means(vectors, 4, seed=0)
    for code in range(4):
        np.testing.assert_allclose(found.centroids[code], vectors[found.labels == code].mean(axis=0), atol=2e-2)


def test_separate_groups_are_found():
    rng = np.random.default_rng(1)
    group = rng.integers(3, size=100)
    apart = np.eye(3, dtype=np.float32)[group] + rng.normal(size=(100, 3)).astype(np.float32) / 50
    labels = k_means(apart, 3, seed=0).labels
    assert len(set(zip(group, labels, strict=True))) == 3


def test_threads_do_not_change_the_bytes_but_another_seed_does():
    many = np.random.default_rng(2).normal(size=(3000, 16)).astype(np.float32)
    runs = []
    for threads in (8, 1, 8):
        with threadpool_limits(threads):
            found = k_means(many, 16, seed=3, sample=2500)
        runs.append(found.labels.tobytes() + found.centroids.tobytes())
    assert len(set(runs)) == 1
    assert (k_means(many, 16, seed=4).labels != found.labels).any()


def test_memory_holds_only_the_sample_and_a_chunk(tmp_path):
    np.save(tmp_path / "vectors.npy", np.random.default_rng(0).normal(size=(100_000, 32)).astype(np.float32))
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    k_means(mapped[:100], 2, seed=0)  # imports
    tracemalloc.start()
    found = k_means(UnitRows(mapped), 2, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < mapped.nbytes / 4
    np.testing.assert_array_equal(found.labels, k_means(UnitRows(np.asarray(mapped)), 2, seed=0).labels)


def test_rows_are_made_unit_length_as_they_are_read():
    rows = UnitRows(np.array([[3, 4], [0, 0], [0, 2]], np.float16), np.array([1, 0]))
    assert len(rows) == 2
    np.testing.assert_array_equal(rows[:], np.array([[0, 0], [0.6, 0.8]], np.float32))
    np.testing.assert_array_equal(rows[np.array([1])], np.array([[0.6, 0.8]], np.float32))
    assert rows[:].dtype == np.float32


def test_the_same_vectors_are_one_cluster_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(k_means(np.ones((9, 2), np.float32), 3, seed=0).labels) == {0}


@pytest.mark.parametrize(
    ("codes", "sample", "sentence"),
    [
        (301, None, "301 codes cannot be learnt from 300 documents: there must be at least as many documents as codes"),
        (5, 4, "5 codes cannot be learnt from 4 documents: there must be at least as many documents as codes"),
        (2, 1, "2 codes cannot be learnt from 1 document: there must be at least as many documents as codes"),
        (0, None, "at least 1 code must be learnt, not 0"),
        (-1, None, "at least 1 code must be learnt, not -1"),
    ],
)
def test_refuses_more_codes_than_vectors_to_learn_them_from(vectors, codes, sample, sentence):
    with pytest.raises(UserError, match=f"^{sentence}$"):
        k_means(vectors, codes, seed=0, sample=sample)
