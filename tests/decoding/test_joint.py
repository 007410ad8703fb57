"""Joint ranking on two roads against scoring every docid in plain Python, and its certificate."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_search import (
    BATCH,
    EOS,
    LONGEST,
    VOCABULARY,
    brute_force,
    empty_cache,
    make_step,
    random_tables,
    trie_arrays,
)

from gr2_jax.decoding import constrained_beam_search
from gr2_jax.decoding.joint import rank_jointly
from gr2_jax.decoding.nearest import Vectors, nearest_docids, similarities_of_all, similarities_of_each
from gr2_jax.decoding.teacher_forced import log_likelihoods

DOCUMENTS, FEATURES = 7, 3
ROADS = [
    # beams, nearest: few of both, one alone, all of one, more beams than there are docids
    (1, 1),
    (3, 2),
    (2, None),
    (8, None),
    (None, 3),
    (None, DOCUMENTS),
    (8, 2),
]
corpora = st.lists(
    st.lists(st.integers(2, VOCABULARY - 1), min_size=1, max_size=LONGEST).map(tuple),
    min_size=DOCUMENTS,
    max_size=DOCUMENTS,
    unique=True,
)


def with_ends(docids):
    return np.array([[*docid, EOS] + [0] * (LONGEST - len(docid)) for docid in docids], np.int32)


@partial(jax.jit, static_argnames=("beams", "nearest", "k"))
def search(tables, trie, docids, queries, vectors, weight, beams, nearest, k, largest, floor=-np.inf):
    def log_likelihoods_of(rows):
        some = docids[rows]
        given = jnp.pad(some[..., :-1], ((0, 0), (0, 0), (1, 0)))
        cache = {"history": jnp.zeros((len(tables), rows.shape[1], 1), jnp.int32)}
        return log_likelihoods(make_step(tables)(given, 0, cache)[0], some, None)

    by_beams = near = None
    if beams is not None:
        by_beams = constrained_beam_search(
            make_step(tables),
            empty_cache(),
            trie,
            batch=BATCH,
            beams=beams,
            max_length=LONGEST + 1,
            widths=(VOCABULARY, beams * VOCABULARY),
        )
    if nearest is not None:
        near = nearest_docids(queries, vectors, nearest, block=3)
    return rank_jointly(
        by_beams,
        near,
        log_likelihoods=log_likelihoods_of,
        similarities=lambda rows: similarities_of_each(queries, jax.tree.map(lambda x: x[rows], vectors)),
        weight=weight,
        documents=DOCUMENTS,
        k=k,
        largest=largest,
        floor=floor,
    )


def joint_scores(tables, docids, queries, vectors, weight, added):
    """[BATCH, DOCUMENTS], float64, with what is `added` to each likelihood."""
    likelihoods = np.array([[s for s, _ in sorted(brute_force(t, docids), key=lambda hit: hit[1])] for t in tables])
    return np.log(np.exp(likelihoods) + added) + weight * (queries.astype(np.float64) @ vectors.T.astype(np.float64))


@given(
    corpora,
    st.integers(0, 2**31),
    st.sampled_from(ROADS),
    st.sampled_from([0.0, 0.5, 20.0]),
    st.sampled_from([0.0, 1 / DOCUMENTS, 1e-6]),
    st.booleans(),
)
@settings(max_examples=150)
def test_scores_are_right_and_what_is_proven_is_the_true_top(docids, seed, roads, weight, added, ties):
    rng = np.random.default_rng(seed)
    tables = np.zeros((BATCH, 31, VOCABULARY), np.float32) if ties and seed % 2 else random_tables(seed)
    # whole numbers tie
    draw = partial(rng.integers, -1, 2) if ties else rng.normal
    queries, vectors = (draw(size=(n, FEATURES)).astype(np.float32) for n in (BATCH, DOCUMENTS))
    largest = float(np.abs(queries @ vectors.T).max())
    k = 4
    given_trie = trie_arrays(docids)
    floor = np.float32(np.log(added) if added else -np.inf)
    found = search(tables, given_trie, with_ends(docids), queries, Vectors(vectors), weight, *roads, k, largest, floor)
    expected = joint_scores(tables, docids, queries, vectors, weight, added)
    complete = DOCUMENTS in roads or 8 in roads
    for b in range(BATCH):
        valid = np.asarray(found.valid[b])
        rows, scores = np.asarray(found.rows[b])[valid], np.asarray(found.scores[b])[valid]
        assert len(set(rows)) == len(rows)
        np.testing.assert_allclose(scores, expected[b, rows], rtol=1e-4, atol=1e-4)
        likelihoods = np.log(np.exp(np.float64(found.log_likelihoods[b][valid])) + added)
        parts = likelihoods + weight * found.similarities[b][valid]
        np.testing.assert_allclose(parts, scores, rtol=1e-5, atol=1e-5)
        true = np.sort(expected[b])[::-1]
        proven = np.asarray(found.proven[b])
        np.testing.assert_allclose(scores[: proven.sum()], true[: proven.sum()], rtol=1e-4, atol=1e-4)
        left_out = np.delete(expected[b], rows).max()
        assert found.pruned_bound[b] >= left_out - 1e-3
        if complete:  # a road with the whole corpus
            assert proven.all()
            assert len(rows) == k


def test_both_roads_prove_what_neither_proves_alone():
    docids = [(2, 2), (3, 4), (5,), (4, 4), (2, 5), (3,), (4,)]
    rng = np.random.default_rng(5)
    tables = random_tables(11, spread=1.5)
    queries, vectors = (rng.normal(size=(n, FEATURES)) for n in (BATCH, DOCUMENTS))
    queries, vectors = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, vectors))
    queries, vectors = np.float32(queries), np.float32(vectors)

    def proven(beams, nearest):
        args = tables, trie_arrays(docids), with_ends(docids), queries, Vectors(vectors), 2.0
        return int(search(*args, beams, nearest, 2, 1.0).proven.sum())

    assert proven(4, 4) > max(proven(4, None), proven(None, 4))


@pytest.mark.parametrize("block", [1, 3, 16])
def test_the_nearest_are_those_of_the_whole_product(block):
    rng = np.random.default_rng(0)
    queries, vectors = rng.integers(-2, 3, (4, 3)).astype(np.float32), rng.integers(-2, 3, (11, 3)).astype(np.float32)
    found = nearest_docids(queries, Vectors(vectors), 5, block=block)
    products = queries @ vectors.T
    order = np.argsort(-products, axis=1, kind="stable")[:, :5]  # ties by row
    np.testing.assert_array_equal(found.rows, order)
    np.testing.assert_array_equal(found.similarities, np.take_along_axis(products, order, 1))


def test_more_nearest_than_documents_are_padding():
    found = nearest_docids(np.ones((1, 2), np.float32), Vectors(np.ones((3, 2), np.float32)), 5)
    assert found.rows.tolist() == [[0, 1, 2, -1, -1]]
    assert found.similarities.tolist() == [[2.0, 2.0, 2.0, -np.inf, -np.inf]]


def test_scaled_int8_vectors_are_their_product_with_the_scale():
    rng = np.random.default_rng(1)
    queries, values = rng.normal(size=(2, 4)).astype(np.float32), rng.integers(-127, 128, (6, 4)).astype(np.int8)
    scales = rng.random(6).astype(np.float32)
    expected = queries @ (values * scales[:, None]).T
    vectors, rows = Vectors(jnp.asarray(values), jnp.asarray(scales)), jnp.arange(6)
    np.testing.assert_allclose(similarities_of_all(queries, vectors, rows), expected, rtol=1e-5)
    each = similarities_of_each(queries, jax.tree.map(lambda x: x[jnp.stack([rows, rows])], vectors))
    np.testing.assert_allclose(each, expected, rtol=1e-5)
