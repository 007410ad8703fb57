"""Properties of T5: caching, parallel sequences, padding, restricted logits, position buckets, precision."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.models import T5, T5Config, empty_cache, shift_right
from gr2_jax.models.attention import RelativePositionBias, by_position

TIED = T5Config(
    vocab_size=24,
    d_model=12,
    d_kv=4,
    d_ff=10,
    num_heads=2,
    num_encoder_layers=2,
    num_decoder_layers=2,
    relative_attention_num_buckets=6,
    relative_attention_max_distance=9,
)
UNTIED = dataclasses.replace(TIED, feed_forward="gated-gelu", tie_word_embeddings=False)
QUERIES = jnp.array([[3, 9, 4, 1, 0], [5, 7, 22, 8, 1]])
DOCIDS = jnp.array([[[6, 2, 9, 1], [7, 1, 0, 0], [6, 3, 3, 1]], [[9, 9, 1, 0], [20, 2, 4, 1], [11, 1, 0, 0]]])


def _run(model, *args, method):
    return model[0].apply({"params": model[1]}, *args, method=method)


SCANNED = dataclasses.replace(TIED, scan_layers=True)


@pytest.fixture(scope="module", params=[TIED, UNTIED, SCANNED], ids=["tied", "untied", "scanned"])
def model(request, random_params):
    t5 = T5(request.param)
    return t5, random_params(t5, QUERIES, DOCIDS)


@pytest.fixture(scope="module")
def states(model):
    return _run(model, QUERIES, method="encode")


@pytest.fixture(scope="module")
def forced(model, states):
    """States of teacher forcing, [B, K, T, D]."""
    return _run(model, shift_right(DOCIDS), states, QUERIES != 0, method="decode")


def test_shift_right_starts_with_padding_and_drops_the_last():
    np.testing.assert_array_equal(shift_right(jnp.array([[4, 5, 1], [6, 1, 0]])), [[0, 4, 5], [0, 6, 1]])


def test_cached_steps_equal_teacher_forcing(model, states, forced):
    inputs = shift_right(DOCIDS)
    memory = _run(model, states, QUERIES != 0, method="memory")
    cache = empty_cache(model[0].config, 2, 3, inputs.shape[-1] + 3)  # longer than needed: the rest must not be read
    # cache contents beyond the position must not matter
    cache = jax.tree.map(lambda x: x + 100.0, cache)
    step = jax.jit(lambda *args: _run(model, *args, method="decode_step"))
    for position in range(inputs.shape[-1]):
        states, cache = step(inputs[:, :, position], jnp.asarray(position), cache, memory)
        np.testing.assert_allclose(states, forced[:, :, position], rtol=1e-5, atol=1e-5)


def test_a_row_of_tokens_at_once_equals_teacher_forcing(model, states, forced):
    """One token per docid, then all others in one call."""
    inputs = shift_right(DOCIDS)
    memory = _run(model, states, QUERIES != 0, method="memory")
    cache = empty_cache(model[0].config, 2, 3, inputs.shape[-1])
    first, cache = _run(model, inputs[:, :, 0], jnp.asarray(0), cache, memory, method="decode_step")
    rest, _ = _run(model, inputs[:, :, 1:], jnp.asarray(1), cache, memory, method="decode_step")
    np.testing.assert_allclose(first, forced[:, :, 0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(rest, forced[:, :, 1:], rtol=1e-5, atol=1e-5)


def test_docids_decoded_together_equal_each_alone(model, states, forced):
    for k in range(DOCIDS.shape[1]):
        alone = _run(model, shift_right(DOCIDS[:, k]), states, QUERIES != 0, method="decode")
        np.testing.assert_allclose(alone, forced[:, k], rtol=1e-5, atol=1e-5)


def test_numpy_params_may_be_closed_over_by_jit(model, forced):
    """`load_hf_t5` returns numpy arrays, which do not take a traced index."""
    ids = jnp.array([2, 3])
    found = jax.jit(lambda ids: _run(model, forced, ids, method="logits"))(ids)
    np.testing.assert_allclose(found, _run(model, forced, ids, method="logits"), rtol=1e-5, atol=1e-5)


def test_each_query_has_its_own_memory(model, states):
    same_docids = jnp.broadcast_to(shift_right(DOCIDS[:1]), DOCIDS.shape)
    decoded = _run(model, same_docids, states, QUERIES != 0, method="decode")
    assert np.abs(decoded[0] - decoded[1]).max() > 1e-2


def test_encoder_padding_does_not_change_logits(model):
    plain = model[0].apply({"params": model[1]}, QUERIES, shift_right(DOCIDS))
    padded = model[0].apply({"params": model[1]}, jnp.pad(QUERIES, ((0, 0), (0, 3))), shift_right(DOCIDS))
    np.testing.assert_allclose(padded, plain, rtol=1e-5, atol=1e-5)


def test_logits_of_some_tokens_are_columns_of_all(model, forced):
    everything = _run(model, forced, method="logits")
    ids = jnp.array([1, 4, 23])
    assert everything.shape == (2, 3, 4, 24)
    np.testing.assert_allclose(_run(model, forced, ids, method="logits"), everything[..., ids], rtol=1e-6, atol=1e-6)


def test_output_embedding_and_its_scale(model, forced):
    params = model[1]
    if model[0].config.tie_word_embeddings:
        expected = np.float64(forced) @ params["embedding"]["embedding"].T / math.sqrt(12)
    else:
        expected = np.float64(forced) @ params["output_embedding"].T
    np.testing.assert_allclose(_run(model, forced, method="logits"), expected, rtol=1e-4, atol=1e-5)


def test_without_encoder_layers_states_are_normed_embeddings(random_params):
    t5 = T5(dataclasses.replace(TIED, num_encoder_layers=0, num_decoder_layers=1))
    params = random_params(t5, QUERIES, DOCIDS)
    assert set(params["encoder"]) == {"final_norm"}
    rows = params["embedding"]["embedding"].astype(np.float64)[np.asarray(QUERIES)]
    expected = rows / np.sqrt((rows**2).mean(-1, keepdims=True) + 1e-6) * params["encoder"]["final_norm"]["scale"]
    np.testing.assert_allclose(_run((t5, params), QUERIES, method="encode"), expected, rtol=1e-5)
    logits = t5.apply({"params": params}, QUERIES, shift_right(DOCIDS))
    assert logits.shape == (2, 3, 4, 24)
    assert np.isfinite(logits).all()


def _bucket(distance: int, bidirectional: bool, buckets: int, maximum: int) -> int:
    """T5 (Raffel et al. 2020, 2.1): exact buckets up to a point, then logarithmically wider ones up to a maximum
    distance, beyond which all are one; an encoder spends half of the buckets on keys to the right, a decoder sees none.
    """
    if bidirectional:
        half = buckets // 2
        return (half if distance > 0 else 0) + _one_sided(abs(distance), half, maximum)
    return _one_sided(max(-distance, 0), buckets, maximum)


def _one_sided(distance: int, buckets: int, maximum: int) -> int:
    exact = buckets // 2
    if distance < exact:
        return distance
    share = math.log(distance / exact) / math.log(maximum / exact)
    return min(exact + int(share * (buckets - exact)), buckets - 1)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "maximum"), [(32, 128), (8, 20)])
def test_relative_position_buckets(bidirectional, buckets, maximum):
    config = T5Config(num_heads=1, relative_attention_num_buckets=buckets, relative_attention_max_distance=maximum)
    numbers = {"params": {"embedding": jnp.arange(buckets, dtype=jnp.float32)[:, None]}}
    distances = np.arange(-299, 300)
    found = RelativePositionBias(config, bidirectional).apply(numbers, jnp.asarray(distances))
    np.testing.assert_array_equal(found[0], [_bucket(int(d), bidirectional, buckets, maximum) for d in distances])


@pytest.mark.parametrize("length", [1, 2, 5])
def test_values_by_distance_laid_out_by_position(length):
    """[0, h, q, k] is head h's value of distance k - q."""
    values = np.arange(2.0 * (2 * length - 1)).reshape(2, -1)
    expected = [[[v[k - q + length - 1] for k in range(length)] for q in range(length)] for v in values]
    np.testing.assert_array_equal(by_position(jnp.asarray(values), length)[0], expected)


def test_bfloat16_activations_keep_float32_params(random_params):
    full = dataclasses.replace(UNTIED, num_encoder_layers=1, num_decoder_layers=1)
    half = T5(dataclasses.replace(full, dtype="bfloat16"))
    initial = jax.eval_shape(half.init, jax.random.key(0), QUERIES, DOCIDS)
    assert {x.dtype for x in jax.tree.leaves(initial)} == {jnp.dtype("float32")}

    def mean_square(params, t5):
        logits = t5.apply({"params": params}, QUERIES, shift_right(DOCIDS))
        return jnp.mean(logits**2), logits

    params = random_params(half, QUERIES, DOCIDS)
    (_, logits), gradients = jax.jit(jax.value_and_grad(mean_square, has_aux=True), static_argnums=1)(params, half)
    assert jax.eval_shape(lambda: _run((half, params), QUERIES, method="encode")).dtype == jnp.bfloat16
    assert logits.dtype == jnp.float32
    assert {x.dtype for x in jax.tree.leaves(gradients)} == {jnp.dtype("float32")}
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradients))
    expected = mean_square(params, T5(full))[1]
    # bfloat16 keeps 8 bits: a few per cent of the largest after some layers
    assert np.abs(logits - expected).max() < 0.05 * np.abs(expected).max()
