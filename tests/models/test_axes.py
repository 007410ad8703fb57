"""Every parameter and activation has axis names, and a mesh that uses them computes the same as one device."""

import dataclasses

import jax
import numpy as np
import pytest
import sharded_t5
import virtual_devices
from flax import linen as nn
from jax.sharding import AxisType, PartitionSpec

from gr2_jax.models import GR2, T5, Fusion, logical_axes, param_shardings, preset

TOKENS = np.ones((1, 2), np.int32)
TINY = preset("tiny", vocab_size=16)
UNTIED = dataclasses.replace(preset("1.1-tiny", vocab_size=16), scan_layers=True)


@pytest.mark.parametrize(
    "model", [T5(TINY), T5(UNTIED), GR2(UNTIED), Fusion(TINY)], ids=["1.0", "1.1 scanned", "GR2", "Fusion"]
)
def test_every_dimension_of_every_parameter_has_a_name(model):
    docids = TOKENS[:, None] if isinstance(model, GR2) else TOKENS
    shapes = jax.eval_shape(model.init, jax.random.key(0), TOKENS, docids)["params"]
    axes = logical_axes(shapes)
    jax.tree.map(
        lambda shape, names: pytest.fail(f"{names}") if len(names) != shape.ndim or None in names else None,
        shapes,
        axes,
    )


def test_names_of_a_scanned_model():
    shapes = jax.eval_shape(T5(UNTIED).init, jax.random.key(0), TOKENS, TOKENS)["params"]
    axes = logical_axes(shapes)
    assert axes["embedding"]["embedding"] == axes["output_embedding"] == PartitionSpec("vocab", "embed")
    layer = axes["decoder"]["layers"]
    assert layer["self_attention"]["query"]["kernel"] == PartitionSpec("layers", "embed", "joined_kv")
    assert layer["cross_attention"]["out"]["kernel"] == PartitionSpec("layers", "joined_kv", "embed")
    assert layer["feed_forward"]["wo"]["kernel"] == PartitionSpec("layers", "mlp", "embed")
    assert layer["feed_forward_norm"]["scale"] == PartitionSpec("layers", "embed")


def test_a_parameter_without_names_is_refused():
    with pytest.raises(KeyError, match="encoder/adapter/kernel of 2 dimensions has no logical axes"):
        logical_axes({"encoder": {"adapter": {"kernel": np.ones((2, 2))}}})
    with pytest.raises(KeyError, match="query/kernel of 3 dimensions"):
        logical_axes({"query": {"kernel": np.ones((2, 2, 2))}})


def _lowered(rules):
    mesh = jax.make_mesh((1, 1, 1), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    model, params = T5(TINY), jax.eval_shape(T5(TINY).init, jax.random.key(0), TOKENS, TOKENS)["params"]
    with jax.set_mesh(mesh), nn.logical_axis_rules(rules):
        return jax.jit(lambda p: model.apply({"params": p}, TOKENS, TOKENS)).lower(params).as_text()


def test_activations_are_constrained_where_there_are_rules():
    assert "sharding_constraint" not in _lowered([])
    text = _lowered(sharded_t5.RULES)
    # per layer: 3 projections of each attention, the feed-forward's middle, the output; per stack: its input; the
    # embedding table, twice in a lookup and once for the logits, and the logits
    encoder, decoder = 2 * (3 + 2) + 1, 2 * (2 * 3 + 2) + 1
    assert text.count("sharding_constraint") == encoder + decoder + 3 + 1


def test_an_axis_without_a_rule_is_an_error():
    with pytest.raises(ValueError, match="did not match a rule"):
        _lowered([rule for rule in sharded_t5.RULES if rule[0] != "mlp"])


def test_a_parameter_axis_without_a_rule_is_an_error():
    mesh = jax.make_mesh((1, 1, 1), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    params = {"encoder": {"final_norm": {"scale": np.ones(4)}}}
    assert param_shardings(params, mesh, sharded_t5.RULES)["encoder"]["final_norm"]["scale"].spec == PartitionSpec(
        "fsdp"
    )
    with pytest.raises(ValueError, match="axis 'embed' of parameter encoder/final_norm/scale has no rule"):
        param_shardings(params, mesh, [rule for rule in sharded_t5.RULES if rule[0] != "embed"])


def test_eight_devices_compute_the_same_as_one(tmp_path):
    """Batch, model and parameters each split in two: loss and every gradient of a scanned, rematerialised T5."""
    path = tmp_path / "eight.npz"
    shown = virtual_devices.run(8, sharded_t5.__file__, str(path))
    assert "Involuntary full rematerialization" not in shown.stderr
    expected, found = sharded_t5.loss_and_gradients(sharded_t5.start()), np.load(path)
    assert found["devices"] == 8
    np.testing.assert_allclose(found["loss"], expected[0], rtol=1e-5)
    for i, gradient in enumerate(jax.tree.leaves(expected[1])):
        np.testing.assert_allclose(found[f"gradient_{i}"], gradient, rtol=1e-3, atol=1e-5 * np.abs(gradient).max())
