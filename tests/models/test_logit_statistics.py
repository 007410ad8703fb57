"""Statistics of logits, whole and in pieces, against a float64 loop, with all gradients, on one device and on eight."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import virtual_devices

from gr2_jax.models import GR2, preset
from gr2_jax.models.logit_statistics import pieces_of, statistics_in_pieces

B, K, T, D, C = 2, 3, 6, 5, 7


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    states, table = rng.normal(size=(B, K, T, D)).astype(np.float32), rng.normal(size=(C, D)).astype(np.float32)
    return states, table, rng.integers(0, C, (B, K, T)), [rng.normal(size=(B, K, T)).astype(np.float32) for _ in "abc"]


def _plain(states, table, targets, cotangents):
    """Statistics, and the gradients of sum(statistic * cotangent), token by token in float64."""
    states, table = states.astype(np.float64), table.astype(np.float64)
    statistics, to_states, to_table = np.zeros((3, B, K, T)), np.zeros(states.shape), np.zeros(table.shape)
    for place in np.ndindex(B, K, T):
        logits = table @ states[place]
        total = np.exp(logits).sum()
        statistics[:, *place] = np.log(total), logits[targets[place]], logits.mean()
        to_sum, to_target, to_mean = (cotangent[place] for cotangent in cotangents)
        to_logits = to_sum * np.exp(logits) / total + to_mean / C
        to_logits[targets[place]] += to_target
        to_states[place] = to_logits @ table
        to_table += np.outer(to_logits, states[place])
    return statistics, to_states, to_table


@pytest.mark.parametrize("pieces", [1, 2, 6])
def test_values_and_gradients(inputs, pieces):
    states, table, targets, cotangents = inputs
    statistics, *gradients = _plain(*inputs)
    found, pull = jax.vjp(lambda s, t: statistics_in_pieces(s, t, targets, "float32", pieces), states, table)
    np.testing.assert_allclose(found, statistics, rtol=1e-5, atol=1e-6)
    for ours, plain in zip(pull(type(found)(*map(jnp.asarray, cotangents))), gradients, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-5)


def test_pieces_are_as_few_as_fit_and_no_more_than_positions():
    assert pieces_of((4, 2, 12), 100, most=9600) == 1
    assert pieces_of((4, 2, 12), 100, most=4799) == 3
    assert pieces_of((4, 2, 12), 100, most=1) == 12
    assert pieces_of((4, 2, 7), 100, most=3000) == 7  # ranges are equal


def test_no_array_holds_the_logits_of_all_tokens(inputs):
    states, table, targets, _ = inputs

    def is_held(pieces: int) -> bool:
        def loss(states, table):
            return sum(x.sum() for x in statistics_in_pieces(states, table, targets, "float32", pieces))

        text = jax.jit(jax.grad(loss, (0, 1))).lower(states, table).as_text()
        return f"{B}x{K}x{T}x{C}xf32" in text or f"x{C}x{B}x{K}x{T}xf32" in text or f"1x{B}x{K}x{T}x{C}xf32" in text

    assert is_held(1)
    assert not is_held(3)


@pytest.mark.parametrize("vocabulary", [None, (1, 3, 4, 9, 20)])
def test_a_model_gives_the_statistics_of_its_logits(monkeypatch, vocabulary):
    from gr2_jax.models import t5

    model = GR2(preset("tiny", vocab_size=32, num_encoder_layers=1, num_decoder_layers=1), vocabulary)
    rng = np.random.default_rng(1)
    queries, docids = rng.integers(3, 32, (2, 5)), rng.integers(3, 32, (2, 3, 4))
    targets = rng.integers(0, 5, docids.shape)
    params = model.init(jax.random.key(0), queries, docids)
    outputs = model.apply(params, queries, docids)
    logits = np.asarray(outputs.logits, np.float64)
    expected = (
        np.log(np.exp(logits).sum(-1)),
        np.take_along_axis(logits, targets[..., None], -1)[..., 0],
        logits.mean(-1),
    )
    for most in (None, 40):
        if most:
            monkeypatch.setattr(t5, "pieces_of", lambda shape, columns, most=most: pieces_of(shape, columns, most))
        found = model.apply(params, outputs.states, targets, method="docid_logit_statistics")
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_on_eight_devices_as_on_one():
    seen = json.loads(virtual_devices.run(8, str(Path(__file__).with_name("statistics_on_mesh.py"))).stdout)
    assert max(seen["apart"]) < 1e-5
    assert seen["sums of the table's gradient"] == [1]  # once a step, not once a piece
