"""The presets have the published models' numbers of parameters."""

import dataclasses
import math

import jax
import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.models import T5, preset

# parameters of the published models, the shared embedding counted once
PUBLISHED = {
    "small": 60_506_624,
    "base": 222_903_552,
    "large": 737_668_096,
    "3b": 2_851_598_336,
    "11b": 11_307_321_344,
    "1.1-small": 76_961_152,
    "1.1-base": 247_577_856,
    "1.1-large": 783_150_080,
    "1.1-xl": 2_849_757_184,
    "1.1-xxl": 11_135_332_352,
}
MT5 = {"1.1-small": 300_176_768, "1.1-base": 582_401_280, "1.1-large": 1_229_581_312, "1.1-xl": 3_742_619_648}


def _parameters(config):
    tokens = np.ones((1, 1), np.int32)
    model = T5(dataclasses.replace(config, scan_layers=True))  # one layer to trace
    shapes = jax.eval_shape(model.init, jax.random.key(0), tokens, tokens)
    return sum(math.prod(x.shape) for x in jax.tree.leaves(shapes))


@pytest.mark.parametrize(("name", "count"), PUBLISHED.items())
def test_t5(name, count):
    assert _parameters(preset(name)) == count


@pytest.mark.parametrize(("name", "count"), MT5.items())
def test_mt5(name, count):
    assert _parameters(preset(name, vocab_size=250_112)) == count


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"remat": "ful"}, "remat of a T5 is 'ful': .*full"),
        ({"attention": "flash"}, "attention of a T5 is 'flash'"),
        ({"dtype": "float16"}, "dtype of a T5 is 'float16': .*bfloat16"),
        ({"dropout_rate": 1.0}, "dropout_rate of a T5 is 1.0"),
    ],
)
def test_invalid_values(change, message):
    with pytest.raises(UserError, match=message):
        preset("tiny", **change)


def test_unknown_preset():
    with pytest.raises(UserError, match=r"no T5 preset 'bases'.*base"):
        preset("bases")
