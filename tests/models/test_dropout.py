"""Dropout drops a share of the entries and keeps the mean; on a mesh each device draws its own mask."""

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
    rate: float

    @nn.compact
    def __call__(self, x):
        return Dropout(self.rate)(x, False)


@pytest.mark.parametrize("rate", [0.1, 0.3, 2.0**-16, 0.999999])
def test_it_drops_the_share_and_keeps_the_mean(rate):
    """Counts and means of 2 million entries, within five standard deviations."""
    count = 2 * 10**6 + 1
    found = np.asarray(Ours(rate).apply({}, jnp.full(count, 3.0), rngs={"dropout": jax.random.key(0)}), np.float64)
    assert np.unique(found).size <= 2
    rate = min(round(rate * 2**16), 2**16 - 1) / 2**16
    assert abs((found == 0).sum() - rate * count) <= 5 * np.sqrt(rate * (1 - rate) * count)
    assert abs(found.mean() / 3 - 1) <= 5 * np.sqrt(rate / (1 - rate) / count)


def test_neighbours_are_dropped_independently_and_a_key_decides():
    x = jnp.ones((400, 501))
    one, again, other = (Ours(0.5).apply({}, x, rngs={"dropout": jax.random.key(seed)}) == 0 for seed in (1, 1, 2))
    assert (one == again).all()
    deviation = 0.5 / np.sqrt(x.size)
    assert abs((one == other).mean() - 0.5) < 5 * deviation
    for step in (1, 2, 3):
        assert abs((one[:, step:] == one[:, :-step]).mean() - 0.5) < 5 * deviation


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
