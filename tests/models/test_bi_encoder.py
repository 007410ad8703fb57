"""The dense encoder against plain loops, and the parts that it shares with a T5."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.models import T5, T5Config, logical_axes, stack_layers, start_from_t5
from gr2_jax.models.bi_encoder import BiEncoder

BAG = T5Config(vocab_size=12, d_model=6, d_kv=3, d_ff=8, num_heads=2, num_encoder_layers=0, num_decoder_layers=1)
DEEP = dataclasses.replace(BAG, num_encoder_layers=2)
TOKENS = np.array([[5, 3, 5, 0, 0], [11, 0, 0, 0, 0], [1, 2, 3, 4, 5]], np.int32)


def _unit_mean(states):
    """The embedding from one text's states at real tokens, in float64."""
    mean = sum(np.asarray(state, np.float64) for state in states) / len(states)
    return mean / np.sqrt(mean @ mean)


@pytest.fixture(scope="module")
def bag(random_params):
    return random_params(BiEncoder(BAG), TOKENS)


def test_without_layers_it_is_a_bag_of_normed_embeddings(bag):
    table = np.asarray(bag["embedding"]["embedding"], np.float64)
    scale = np.asarray(bag["encoder"]["final_norm"]["scale"], np.float64)
    found = BiEncoder(BAG).apply({"params": bag}, TOKENS)
    for row, tokens in zip(found, TOKENS, strict=True):
        words = [table[token] for token in tokens if token]
        states = [scale * word / np.sqrt((word**2).mean() + BAG.layer_norm_epsilon) for word in words]
        np.testing.assert_allclose(row, _unit_mean(states), atol=1e-6)
    shuffled = BiEncoder(BAG).apply({"params": bag}, TOKENS[:, [4, 2, 0, 1, 3]])
    np.testing.assert_allclose(shuffled, found, atol=1e-6)


def test_with_layers_it_is_the_mean_of_a_t5s_encoder_states(random_params):
    t5 = random_params(T5(DEEP), TOKENS, TOKENS)
    params = {name: t5[name] for name in ("embedding", "encoder")}
    states = T5(DEEP).apply({"params": t5}, TOKENS, method="encode")
    found = BiEncoder(DEEP).apply({"params": params}, TOKENS)
    for row, some, tokens in zip(found, states, TOKENS, strict=True):
        np.testing.assert_allclose(row, _unit_mean(some[: np.count_nonzero(tokens)]), atol=1e-5)
    longer = BiEncoder(DEEP).apply({"params": params}, np.pad(TOKENS, [(0, 0), (0, 3)]))
    np.testing.assert_allclose(longer, found, atol=1e-5)


def test_a_text_without_tokens_gives_0_and_a_finite_gradient(bag):
    empty = np.zeros((2, 3), np.int32)

    def similarity(params):
        one, other = BiEncoder(BAG).apply({"params": params}, empty)
        return one @ other

    value, gradient = jax.value_and_grad(similarity)(bag)
    assert value == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_bfloat16_vectors_are_float32_and_of_unit_length(bag):
    found = BiEncoder(dataclasses.replace(BAG, dtype="bfloat16")).apply({"params": bag}, TOKENS)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)


def test_starts_from_a_t5_without_its_decoder(random_params):
    t5 = random_params(T5(DEEP), TOKENS, TOKENS)
    config = dataclasses.replace(DEEP, scan_layers=True)
    started = start_from_t5(random_params(BiEncoder(config), TOKENS, seed=1), config, t5)
    assert set(started) == {"embedding", "encoder"}
    jax.tree.map(np.testing.assert_array_equal, started, {name: stack_layers(t5)[name] for name in started})
    logical_axes(started)  # every parameter has logical axes
