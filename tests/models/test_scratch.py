"""The claims of the LSA start about the untrained network, against float64 arithmetic on rows and idf."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.models import GR2, Fusion, lsa_start, preset, shift_right
from gr2_jax.models.scratch import embedding_rows

CONFIG = preset("scratch", vocab_size=40, d_model=32, d_kv=8, d_ff=16)
QUERIES = jnp.array([[5, 9, 31, 17, 1, 0], [8, 20, 11, 0, 0, 0]])
DOCIDS = jnp.array([[[7, 5, 1], [30, 1, 0]], [[8, 8, 1], [12, 3, 1]]])
RMS, GAIN, SCALE = 0.3, 0.5, 10.0

RNG = np.random.default_rng(1)
VECTORS = RNG.normal(size=(40, 30)) * np.linspace(2, 0.1, 30)
IDF = RNG.uniform(1, 20, size=40)
VECTORS[:3], IDF[:3] = 0, 1  # padding, end and unknown occur in no text


@pytest.fixture(scope="module")
def fresh(random_params):
    """A GR2 model and its parameters before the start, norms as `init` has them."""
    gr2 = GR2(CONFIG)
    params = random_params(gr2, QUERIES, DOCIDS)
    return gr2, jax.tree_util.tree_map_with_path(lambda p, x: np.ones_like(x) if p[-1].key == "scale" else x, params)


@pytest.fixture(scope="module")
def bare(fresh):
    """The start with its small branches set to 0: its claims are then exact."""
    return lsa_start(fresh[1], CONFIG, VECTORS, np.log(IDF), branch_scale=0.0)


@pytest.fixture(scope="module")
def rows(bare):
    return bare["t5"]["embedding"]["embedding"].astype(np.float64)


def _inside(gr2, params, part):
    """The output of one of the decoder layer's parts, [B, K, T, D]."""
    _, state = gr2.apply({"params": params}, QUERIES, DOCIDS, capture_intermediates=True)
    output = state["intermediates"]["t5"]["decoder"]["layer_0"][part]["__call__"][0]
    return np.asarray(output, np.float64).reshape(2, 2, 3, -1)


def _normed(rows):
    return rows / np.sqrt(np.mean(rows**2, axis=-1, keepdims=True))


def _weighted_means(rows, power=1.0):
    """The idf**power-weighted mean of each query's normed token rows, [B, D]."""
    means = []
    for query in np.asarray(QUERIES):
        real = query[query != 0]
        means.append(np.average(_normed(rows[real]), axis=0, weights=IDF[real] ** power))
    return np.array(means)


def test_structure_shapes_and_dtypes_stay(fresh, bare):
    assert jax.tree.structure(bare) == jax.tree.structure(fresh[1])
    for new, old in zip(jax.tree.leaves(bare), jax.tree.leaves(fresh[1]), strict=True):
        assert (new.shape, new.dtype) == (old.shape, np.float32)


def test_input_params_are_not_changed(fresh):
    before = jax.tree.map(np.copy, fresh[1])
    lsa_start(fresh[1], CONFIG, VECTORS, np.log(IDF))
    jax.tree.map(np.testing.assert_array_equal, fresh[1], before)


def test_rows_have_one_length_one_constant_and_log_idf(rows):
    np.testing.assert_allclose(np.sqrt(np.mean(rows**2, axis=1)), RMS, rtol=1e-6)
    np.testing.assert_allclose(rows[:, -2], rows[0, -2], rtol=1e-6)
    log_idf = np.log(IDF) - np.log(IDF).mean()
    np.testing.assert_allclose(rows[:, -1], log_idf * (rows[:, -1] @ log_idf) / (log_idf @ log_idf), atol=1e-6)
    assert rows[:, -1] @ log_idf > 0


def test_rows_keep_the_vectors_cosines(rows):
    """All LSA dimensions but the last; a token without a vector is at a right angle to those that have one."""
    unit = VECTORS[3:, :-1] / np.linalg.norm(VECTORS[3:, :-1], axis=1, keepdims=True)
    found = rows[:, :-2] / np.linalg.norm(rows[:, :-2], axis=1, keepdims=True)
    np.testing.assert_allclose(found[3:] @ found[3:].T, unit @ unit.T, atol=1e-6)
    np.testing.assert_allclose(found[:3] @ found[3:].T, 0, atol=1e-6)


def test_cross_attention_is_the_idf_weighted_mean(fresh, bare, rows):
    """At every position, the first included, whose input is the padding token."""
    found = _inside(fresh[0], bare, "cross_attention")
    expected = np.broadcast_to(GAIN * _weighted_means(rows)[:, None, None], found.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_small_branches_change_only_the_power_of_idf(fresh, rows):
    """With the self-attention branch s beside a row x, the cross-attention's query reads the constant of
    norm(x + s) instead of norm(x): the weights are idf^p, p their ratio."""
    gr2, params = fresh
    started = lsa_start(params, CONFIG, VECTORS, np.log(IDF))
    branch = _inside(gr2, started, "self_attention")
    x = rows[np.asarray(shift_right(DOCIDS))]
    powers = _normed(x + branch)[..., -2] / _normed(x)[..., -2]
    found = _inside(gr2, started, "cross_attention")
    for k, t in np.ndindex(2, 3):
        expected = GAIN * np.stack([_weighted_means(rows, powers[b, k, t])[b] for b in range(2)])
        np.testing.assert_allclose(found[:, k, t], expected, rtol=1e-4, atol=1e-4)
    # the branch is a tenth of its size after `init`
    full = lsa_start(params, CONFIG, VECTORS, np.log(IDF), branch_scale=1.0)
    np.testing.assert_allclose(_inside(gr2, full, "self_attention"), 10 * branch, rtol=1e-3, atol=1e-4)


def test_first_logits_are_a_multiple_of_the_cosine(fresh, bare, rows):
    logits = np.asarray(fresh[0].apply({"params": bare}, QUERIES, DOCIDS).logits[:, 0, 0])
    state = rows[0] + GAIN * _weighted_means(rows)
    cosine = (state / np.linalg.norm(state, axis=1, keepdims=True)) @ (rows / np.linalg.norm(rows, axis=1)[:, None]).T
    np.testing.assert_allclose(logits, SCALE * cosine, rtol=1e-4, atol=1e-3)


def test_first_logits_order_tokens_by_their_nearness_to_the_query(fresh, random_params):
    """Where padding's idf is the average, so that its row favours no token."""
    idf = np.concatenate([np.full(3, np.exp(np.log(IDF[3:]).mean())), IDF[3:]])
    params = lsa_start(fresh[1], CONFIG, VECTORS, np.log(idf), branch_scale=0.0)
    logits = np.asarray(fresh[0].apply({"params": params}, QUERIES, DOCIDS).logits[:, 0, 0])
    rows = params["t5"]["embedding"]["embedding"].astype(np.float64)
    for b, query in enumerate(np.asarray(QUERIES)):
        real = query[query != 0]
        mean = np.average(rows[real], axis=0, weights=idf[real])
        np.testing.assert_array_equal(np.argsort(logits[b, 3:]), np.argsort(rows[3:] @ mean))


def test_fusion_pools_by_idf(random_params):
    fusion = Fusion(CONFIG)
    params = random_params(fusion, QUERIES, QUERIES)
    params["document_encoder"]["final_norm"]["scale"][:] = 1
    started = lsa_start(params, CONFIG, VECTORS, np.log(IDF))
    rows = started["embedding"]["embedding"].astype(np.float64)
    means = _weighted_means(rows)
    expected = np.sqrt(32) * means / np.linalg.norm(means, axis=1, keepdims=True)
    found = fusion.apply({"params": started}, QUERIES, method="read_documents").reps
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_one_idf_for_all_gives_plain_means(fresh):
    params = lsa_start(fresh[1], CONFIG, VECTORS, np.full(40, 2.0), branch_scale=0.0)
    rows = params["t5"]["embedding"]["embedding"].astype(np.float64)
    found = _inside(fresh[0], params, "cross_attention")
    expected = np.broadcast_to(GAIN * _weighted_means(rows, 0.0)[:, None, None], found.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_noise_sized_vectors_count_as_missing():
    vectors = np.concatenate([np.zeros((1, 4)), np.full((1, 4), 1e-17), np.eye(4)])
    rows = embedding_rows(vectors, np.array([0.0, 0.0, 1.0, -1.0, 0.5, -0.5]), RMS)
    np.testing.assert_allclose(rows[1], rows[0], atol=1e-6)


def test_start_depends_only_on_its_arguments(fresh):
    twice = [lsa_start(fresh[1], dataclasses.replace(CONFIG), VECTORS, np.log(IDF)) for _ in range(2)]
    jax.tree.map(np.testing.assert_array_equal, *twice)
