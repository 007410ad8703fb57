"""Attention with a bias against a float64 loop, values and every gradient, and what it keeps for the backward pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.models import attention_forms
from gr2_jax.models.attention_forms import FORMS, Task, form_for, recompute_attention, xla_attention
from gr2_jax.training.mesh import MeshConfig, make_mesh, using

B, H, T, S, F = 3, 2, 5, 4, 3
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0]], bool)


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    shapes = (B, H, T, F), (B, H, S, F), (B, H, S, F), (1, H, T, S), (B, H, T, F)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def _softmax(row):
    exponentials = np.exp(row - row.max())
    return exponentials / exponentials.sum()


def _plain(queries, keys, values, bias, cotangent, mask):
    """Outputs, and the gradients of sum(output * cotangent): softmax's Jacobian written out for each row."""
    out, gradients = np.zeros(queries.shape), [np.zeros(x.shape) for x in (queries, keys, values, bias)]
    to_q, to_k, to_v, to_b = gradients
    for b, h, t in np.ndindex(*queries.shape[:3]):
        logits = np.array([np.dot(queries[b, h, t], keys[b, h, s]) + bias[0, h, t, s] for s in range(keys.shape[2])])
        weights = _softmax(np.where(mask[b], logits, -np.inf))
        out[b, h, t] = weights @ values[b, h]
        to_weights = values[b, h] @ cotangent[b, h, t]
        to_logits = (np.diag(weights) - np.outer(weights, weights)) @ to_weights
        to_q[b, h, t] = to_logits @ keys[b, h]
        to_b[0, h, t] += to_logits
        for s in range(keys.shape[2]):
            to_k[b, h, s] += to_logits[s] * queries[b, h, t]
            to_v[b, h, s] += weights[s] * cotangent[b, h, t]
    return out, gradients


def _ours(kernel, queries, keys, values, bias, cotangent, mask):
    out, pull = jax.vjp(lambda *x: kernel(*x, None if mask is None else jnp.asarray(mask)), queries, keys, values, bias)
    return out, pull(jnp.asarray(cotangent, out.dtype))


KERNELS = {"recompute": recompute_attention, "xla": xla_attention}


@pytest.mark.parametrize("mask", [MASK, None], ids=["masked", "whole"])
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_values_and_gradients(inputs, kernel, mask):
    whole = np.ones_like(MASK) if mask is None else mask
    expected, gradients = _plain(*(x.astype(np.float64) for x in inputs), whole)
    found, pulled = _ours(kernel, *inputs, mask)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for ours, plain in zip(pulled, gradients, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-5)


def test_without_a_bias(inputs):
    queries, keys, values, bias, cotangent = inputs
    expected, gradients = _plain(queries, keys, values, np.zeros_like(bias), cotangent, MASK)
    found, pulled = _ours(recompute_attention, queries, keys, values, None, cotangent, MASK)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert pulled[3] is None
    for ours, plain in zip(pulled[:3], gradients, strict=False):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-5)


def test_large_logits_and_a_row_without_keys_stay_finite(inputs):
    queries, keys, values, bias, cotangent = inputs
    mask = MASK.copy()
    mask[2] = False  # a query of padding alone
    found, pulled = _ours(recompute_attention, 300 * queries, 300 * keys, values, bias, cotangent, mask)
    assert all(np.isfinite(x).all() for x in (found, *pulled))


def test_a_query_without_keys_weights_all_alike_and_trains_only_values(inputs):
    queries, keys, values, bias, cotangent = (x[:1] for x in inputs)
    found, (to_q, to_k, to_v, to_b) = _ours(recompute_attention, *(queries, keys, values, bias, cotangent), ~MASK[:1])
    np.testing.assert_allclose(found, np.broadcast_to(values.mean(2, keepdims=True), found.shape), rtol=1e-5)
    assert not any(np.any(x) for x in (to_q, to_k, to_b))
    each = cotangent.sum(2, keepdims=True) / S
    np.testing.assert_allclose(to_v, np.broadcast_to(each, to_v.shape), rtol=1e-4, atol=1e-6)


def test_bfloat16_sums_in_float32(inputs):
    low = [x.astype(jnp.bfloat16) for x in inputs[:3]] + inputs[3:]
    expected, gradients = _plain(*(np.asarray(x, np.float64) for x in low), MASK)
    found, pulled = _ours(recompute_attention, *low, MASK)
    assert found.dtype == jnp.bfloat16
    assert [x.dtype for x in pulled] == [jnp.bfloat16] * 3 + [jnp.float32]
    np.testing.assert_allclose(np.float64(found), expected, atol=0.02)
    for ours, plain in zip(pulled, gradients, strict=True):
        np.testing.assert_allclose(np.float64(ours), plain, atol=0.05 * np.abs(plain).max())


def test_nothing_of_the_size_of_the_weights_is_kept():
    """32 x 64 weights per head against 4 numbers per query and key; the bias is an argument, so it is kept anyway."""
    queries, keys, bias = jnp.ones((2, 2, 32, 4)), jnp.ones((2, 2, 64, 4)), jnp.ones((1, 2, 32, 64))
    kept = jax.eval_shape(lambda *x: jax.vjp(recompute_attention, *x, None)[1], queries, keys, keys, bias)
    sizes = sorted(x.size for x in jax.tree.leaves(kept))
    assert sizes[-1] == bias.size
    assert sizes[-2] == keys.size
    assert keys.size < 2 * bias.size  # otherwise sizes could not distinguish weights from keys


def test_what_cudnn_is_given_means_the_same(inputs, monkeypatch):
    """With XLA in cuDNN's place: padding as lengths, a causal bias, and a sequence without keys."""
    queries, keys, values, _, cotangent = inputs
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
    rng = np.random.default_rng(1)
    causal = np.arange(S) > np.arange(T)[:, None]
    bias = np.where(causal, np.finfo(np.float32).min, rng.normal(size=(1, H, T, S))).astype(np.float32)
    expected, pulled = _ours(xla_attention, queries, keys, values, bias, cotangent, mask)
    attend = jax.nn.dot_product_attention

    def by_xla(*arrays, implementation, **options):
        assert implementation == "cudnn"
        assert options["key_value_seq_lengths"].dtype == jnp.int32
        assert jnp.isfinite(options["bias"].astype(jnp.bfloat16)).all()
        return attend(*arrays, implementation="xla", **options)

    monkeypatch.setattr(jax.nn, "dot_product_attention", by_xla)
    found, ours = _ours(attention_forms.cudnn_attention, queries, keys, values, bias, cotangent, mask)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for one, other in zip(ours, pulled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


LONG = Task("gpu", "bfloat16", 512, 512, 64, True)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (LONG._replace(platform="cpu"), "NVIDIA GPU, not a cpu"),
        (LONG._replace(on_mesh=False), "no mesh"),
        (LONG._replace(dtype="float32"), "not in float32"),
        (LONG._replace(width=20), "not of 20"),
        (LONG._replace(keys=511), "even lengths, not 512 by 511"),
        (LONG._replace(queries=16), "16 by 512 positions"),
        (LONG, None),
        (LONG._replace(keys=511, biased=False), None),
    ],
)
def test_cudnn_says_why_it_cannot_serve(task, reason, monkeypatch):
    class Card:
        compute_capability = "9.0"

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_devices", lambda: [Card])
    found = FORMS["cudnn"].why_not(task)
    assert found is None if reason is None else reason in found
    assert form_for("auto", task)[0] == ("recompute" if reason else "cudnn")
    assert form_for("xla", task)[0] == "xla"
    assert form_for("cudnn", task)[0] == ("recompute" if reason else "cudnn")


@pytest.mark.parametrize("capability", ["7.0", "gfx942"])
def test_cudnn_wants_the_gpu_that_runs_it_and_no_other(capability, monkeypatch):
    assert "made on the GPU" in FORMS["cudnn"].why_not(LONG)  # planning for a GPU from here

    class Other:
        compute_capability = capability

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_devices", lambda: [Other])
    assert "8.0 or later" in FORMS["cudnn"].why_not(LONG)


def test_only_training_steps_take_what_cannot_be_exported():
    assert not attention_forms.is_on_mesh()
    with using(make_mesh(MeshConfig(), jax.devices()[:1])):
        assert attention_forms.is_on_mesh()
    assert "no mesh" in FORMS["pallas"].why_not(LONG._replace(platform="tpu", by_distance=True, on_mesh=False))
    assert FORMS["pallas"].why_not(LONG._replace(platform="tpu", by_distance=True)) is None
