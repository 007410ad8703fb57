"""A retrieval model's parameters as one safetensors file."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.models import GR2, preset, stack_layers
from gr2_jax.models.parameter_file import parameter_shapes, read_parameters, write_parameters

UNTIED = dataclasses.replace(
    preset("1.1-tiny", vocab_size=11), d_model=6, d_kv=4, d_ff=5, num_heads=2, num_encoder_layers=0
)
TIED = dataclasses.replace(UNTIED, feed_forward="relu", tie_word_embeddings=True, num_encoder_layers=2)


@pytest.fixture(params=[TIED, UNTIED], ids=["tied", "untied"])
def model(request, random_params):
    return request.param, random_params(GR2(request.param), jnp.ones((1, 2), int), jnp.ones((1, 1, 2), int))


def same(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


def test_written_and_read(model, tmp_path):
    config, params = model
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_parameters(tmp_path / name, config, params)
    same(read_parameters(tmp_path / "a", config), params)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]


def test_scanned_layers_are_written_unrolled(model, tmp_path):
    config, params = model
    scanned = dataclasses.replace(config, scan_layers=True)
    write_parameters(tmp_path, scanned, stack_layers(params))
    same(read_parameters(tmp_path, config), params)
    same(read_parameters(tmp_path, scanned), stack_layers(params))


def test_a_config_that_no_machine_could_hold_is_refused_at_once(model, tmp_path):
    config, params = model
    write_parameters(tmp_path, config, params)
    huge = dataclasses.replace(config, d_model=2**31 - 1, vocab_size=2**31 - 1, num_decoder_layers=1000)
    assert len(parameter_shapes(huge)) > 1000
    with pytest.raises(UserError, match=r"model\.safetensors: tensor .* is missing"):
        read_parameters(tmp_path, huge)


def test_parameters_of_another_model_are_not_written(model, tmp_path):
    config, params = model
    with pytest.raises(UserError, match="has shape"):
        write_parameters(tmp_path, dataclasses.replace(config, d_ff=7), params)
    assert not list(tmp_path.iterdir())
