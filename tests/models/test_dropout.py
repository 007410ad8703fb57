"""Dropout equals Flax's on one device; on a mesh each device draws its own mask."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import virtual_devices
from flax import linen as nn

from gr2_jax.models.dropout import Dropout


class Ours(nn.Module):
    @nn.compact
    def __call__(self, x):
        return Dropout(0.3)(x, False)


class Flax(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dropout(0.3)(x, False)


def test_on_one_device_it_equals_flax():
    x, key = jnp.arange(1.0, 241.0).reshape(4, 60), jax.random.key(0)
    ours, flax = (model.apply({}, x, rngs={"dropout": key}) for model in (Ours(), Flax()))
    np.testing.assert_array_equal(ours, flax)
    assert 0 < (ours == 0).sum() < 240


def test_without_a_rate_or_when_deterministic_it_does_nothing():
    x = jnp.ones((2, 3))
    assert Dropout(0.0).apply({}, x, False) is x
    assert Dropout(0.5).apply({}, x, True) is x


@pytest.fixture(scope="module")
def eight():
    script = Path(__file__).with_name("dropout_on_mesh.py")
    return json.loads(virtual_devices.run(8, str(script)).stdout)


@pytest.mark.parametrize("mesh", ["data", "mixed"])
def test_on_a_mesh_every_device_draws_its_own_rows(eight, mesh):
    seen = eight[mesh]
    assert seen["share"] == pytest.approx(0.75, abs=0.03)
    assert seen["again"]
    assert not seen["other"]
    assert seen["different_rows"] == 16  # no device repeats another's
    assert not seen["whole"]  # and no device draws the whole batch's mask
    assert seen["odd"]  # rows that do not divide evenly are drawn as without a mesh
