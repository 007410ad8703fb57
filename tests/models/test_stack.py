"""Scanned layers compute the same as unrolled ones, and rematerialisation changes only what is kept."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.models import GR2, T5, Fusion, T5Config, stack_layers, unstack_layers

CONFIG = T5Config(
    vocab_size=20,
    d_model=8,
    d_kv=4,
    d_ff=12,
    num_heads=2,
    num_encoder_layers=3,
    num_decoder_layers=2,
    relative_attention_num_buckets=6,
    relative_attention_max_distance=9,
)
QUERIES = jnp.array([[3, 9, 4, 1, 0], [5, 7, 12, 8, 1]])
DOCIDS = jnp.array([[[6, 2, 9, 1], [7, 1, 0, 0]], [[9, 9, 1, 0], [10, 2, 4, 1]]])


def _loss(params, model, *tokens):
    outputs = model.apply({"params": params}, *tokens)
    return sum(jnp.mean(jnp.square(x)) for x in jax.tree.leaves(outputs))


def _with(model, **changes):
    return dataclasses.replace(model, config=dataclasses.replace(model.config, **changes))


def _assert_close(ours, theirs):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), ours, theirs)


@pytest.mark.parametrize(
    ("model", "tokens"),
    [(T5(CONFIG), (QUERIES, DOCIDS)), (GR2(CONFIG), (QUERIES, DOCIDS)), (Fusion(CONFIG), (QUERIES, DOCIDS[:, 0]))],
    ids=["T5", "GR2", "Fusion"],
)
def test_scanned_equals_unrolled(random_params, model, tokens):
    params = random_params(model, *tokens)
    value_and_grad = jax.jit(jax.value_and_grad(_loss), static_argnums=1)
    expected, gradients = value_and_grad(params, model, *tokens)
    found, scanned = value_and_grad(stack_layers(params), _with(model, scan_layers=True), *tokens)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    _assert_close(unstack_layers(scanned), gradients)


def test_stacking_gives_the_structure_of_a_scanned_model_and_back(random_params):
    params = random_params(T5(CONFIG), QUERIES, DOCIDS)
    scanned = T5(dataclasses.replace(CONFIG, scan_layers=True))
    expected = jax.eval_shape(scanned.init, jax.random.key(0), QUERIES, DOCIDS)["params"]
    stacked = stack_layers(params)
    assert jax.tree.map(np.shape, stacked) == jax.tree.map(lambda x: x.shape, expected)
    assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves(stacked))
    jax.tree.map(np.testing.assert_array_equal, unstack_layers(stacked), params)


def test_more_than_ten_layers_keep_their_order():
    params = {f"layer_{i}": {"x": np.full(2, i)} for i in reversed(range(12))}
    np.testing.assert_array_equal(stack_layers(params)["layers"]["x"][:, 0], np.arange(12))


def test_a_model_without_encoder_layers_has_nothing_to_stack_there(random_params):
    model = T5(dataclasses.replace(CONFIG, num_encoder_layers=0))
    params = random_params(model, QUERIES, DOCIDS)
    stacked = stack_layers(params)
    assert set(stacked["encoder"]) == {"final_norm"}
    found = _with(model, scan_layers=True).apply({"params": stacked}, QUERIES, DOCIDS)
    np.testing.assert_allclose(found, model.apply({"params": params}, QUERIES, DOCIDS), rtol=1e-5, atol=1e-6)


def test_scanned_layers_draw_different_dropout(random_params):
    model = T5(dataclasses.replace(CONFIG, scan_layers=True, dropout_rate=0.5))
    params = random_params(model, QUERIES, DOCIDS)
    _, state = model.apply(
        {"params": params},
        QUERIES,
        DOCIDS,
        deterministic=False,
        rngs={"dropout": jax.random.key(0)},
        capture_intermediates=lambda module, _: type(module).__name__ == "Dropout",
    )
    for stack, name in (("encoder", "Dropout_0"), ("decoder", "drop")):
        dropped = np.asarray(state["intermediates"][stack]["layers"][name]["__call__"][0]) == 0
        assert 0.3 < dropped[0].mean() < 0.7
        assert (dropped[0] != dropped[1]).any()


def _remat_model(scan, remat):
    return T5(dataclasses.replace(CONFIG, scan_layers=scan, remat=remat))


@pytest.mark.parametrize(("scan", "remat"), [(False, "minimal"), (True, "full")])
def test_rematerialisation_changes_no_value(random_params, scan, remat):
    params = random_params(T5(CONFIG), QUERIES, DOCIDS)
    value_and_grad = jax.jit(jax.value_and_grad(_loss), static_argnums=1)
    expected, gradients = value_and_grad(params, T5(CONFIG), QUERIES, DOCIDS)
    start = stack_layers(params) if scan else params
    found, recomputed = value_and_grad(start, _remat_model(scan, remat), QUERIES, DOCIDS)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    _assert_close(unstack_layers(recomputed), gradients)


def test_minimal_rematerialisation_keeps_products_in_bfloat16():
    model = _with(_remat_model(True, "minimal"), dtype="bfloat16")
    shapes = jax.eval_shape(model.init, jax.random.key(0), QUERIES, DOCIDS)["params"]
    pull = jax.eval_shape(lambda p: jax.vjp(lambda p: _loss(p, model, QUERIES, DOCIDS), p)[1], shapes)
    hidden = [x.dtype for x in jax.tree.leaves(pull) if x.shape[-1:] == (CONFIG.d_ff,) and x.ndim == 4]
    assert hidden == [jnp.bfloat16] * 2  # of the encoder's feed-forwards, and the decoder's


def test_rematerialisation_repeats_the_dropout(random_params):
    params = random_params(T5(CONFIG), QUERIES, DOCIDS)

    def gradients(remat):
        model = _with(_remat_model(False, remat), dropout_rate=0.5)

        def loss(params):
            rngs = {"dropout": jax.random.key(0)}
            return jnp.mean(jnp.square(model.apply({"params": params}, QUERIES, DOCIDS, False, rngs=rngs)))

        return jax.jit(jax.grad(loss))(params)

    _assert_close(gradients("full"), gradients("none"))


@pytest.mark.parametrize("scan", [False, True], ids=["unrolled", "scanned"])
def test_rematerialisation_keeps_less(scan):
    """Bytes that a bfloat16 model keeps between forward and backward pass, without parameters."""

    def kept(remat):
        model = _with(_remat_model(scan, remat), dtype="bfloat16")
        shapes = jax.eval_shape(model.init, jax.random.key(0), QUERIES, DOCIDS)["params"]
        pull = jax.eval_shape(lambda p: jax.vjp(lambda p: _loss(p, model, QUERIES, DOCIDS), p)[1], shapes)
        before, after = (sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree)) for tree in (shapes, pull))
        return after - before

    none, minimal, full = map(kept, ("none", "minimal", "full"))
    assert full < 0.8 * minimal
    assert minimal < 0.8 * none
