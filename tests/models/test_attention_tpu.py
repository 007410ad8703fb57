"""A TPU's attention, interpreted, against XLA's; on a mesh against one device; and compiled for TPUs that are not here.

Its blocks have at least 128 positions: 9 of them are one padded block, 150 are two.
"""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import virtual_devices

from gr2_jax.models import T5, preset
from gr2_jax.models import attention_forms as forms
from gr2_jax.models.attention import by_position
from gr2_jax.models.attention_forms import Task, form_for, xla_attention
from gr2_jax.models.attention_tpu import pallas_attention

F = 8


def _arrays(batch, heads, queries, keys):
    rng = np.random.default_rng(0)
    shapes = (queries, F), (keys, F), (keys, F), (queries, F)
    arrays = [jnp.asarray(rng.normal(size=(batch, heads, *shape)), jnp.float32) for shape in shapes]
    mask = rng.random((batch, keys)) < 0.6
    mask[0] = False  # a sequence without a real key
    return *arrays, jnp.asarray(rng.normal(size=(heads, queries + keys - 1)), jnp.float32), jnp.asarray(mask)


def _attended(form, arrays, cotangent):
    """The outputs, and the gradients of all arrays."""
    out, pull = jax.vjp(form, *arrays)
    return out, *pull(cotangent.astype(out.dtype))


def _ours(arrays, mask, cotangent):
    return jax.jit(lambda: _attended(lambda *x: pallas_attention(*x, mask, interpret=True), arrays, cotangent))()


def _xla(arrays, mask, cotangent):
    def form(queries, keys, values, bias):
        laid_out = None if bias is None else by_position(bias, queries.shape[2])
        return xla_attention(queries, keys, values, laid_out, mask)

    with jax.default_matmul_precision("highest"):
        return jax.jit(lambda: _attended(form, arrays, cotangent))()


@pytest.mark.parametrize(
    ("queries", "keys", "bias", "masked"),
    [(37, 37, "whole", True), (37, 37, "causal", False), (150, 150, "whole", True), (5, 150, None, True)],
    ids=["one block", "no mask", "two blocks", "no bias"],
)
def test_values_and_gradients(queries, keys, bias, masked):
    *qkv, cotangent, drawn, mask = _arrays(2, 2, queries, keys)
    later = jnp.arange(1 - queries, keys) > 0
    biases = {"whole": drawn, "causal": jnp.where(later, jnp.finfo(jnp.float32).min, drawn), None: None}
    arrays, mask = (*qkv, biases[bias]), mask if masked else None
    for ours, expected in zip(_ours(arrays, mask, cotangent), _xla(arrays, mask, cotangent), strict=True):
        if expected is None:
            assert ours is None
        else:
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=2e-5)


def test_a_query_without_keys_weights_all_alike_and_trains_only_values():
    queries, keys, values, cotangent, bias, mask = _arrays(1, 1, 9, 9)
    assert not mask.any()
    found, to_q, to_k, to_v, to_b = _ours((50 * queries, keys, values, bias), mask, cotangent)
    np.testing.assert_allclose(found, np.broadcast_to(values.mean(2, keepdims=True), found.shape), rtol=1e-5, atol=1e-6)
    assert not any(np.any(x) for x in (to_q, to_k, to_b))
    each = cotangent.sum(2, keepdims=True) / 9
    np.testing.assert_allclose(to_v, np.broadcast_to(each, to_v.shape), rtol=1e-4, atol=1e-6)


def test_bfloat16_sums_in_float32():
    *qkv, cotangent, bias, mask = _arrays(2, 1, 9, 9)
    low = [x.astype(jnp.bfloat16) for x in qkv]
    found = _ours((*low, bias), mask, cotangent)
    assert [x.dtype for x in found] == [jnp.bfloat16] * 4 + [jnp.float32]
    expected = _xla(([*(x.astype(jnp.float32) for x in low), bias]), mask, cotangent)
    for ours, plain in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.float32(ours), plain, atol=0.03 * np.abs(plain).max())


@pytest.fixture(scope="module")
def eight():
    return json.loads(virtual_devices.run(8, str(Path(__file__).with_name("attention_on_mesh.py"))).stdout)


def test_eight_devices_compute_the_same_as_one(eight):
    assert eight["divided"]["devices"] == 8
    assert eight["divided"]["part"] == [1, 2, 9, 8]  # sequences over four devices, heads over two
    assert eight["divided"]["furthest"] < 1e-5


def test_sequences_that_do_not_divide_are_not_split(eight):
    assert eight["odd"]["part"] == [3, 2, 9, 8]
    assert eight["odd"]["furthest"] < 1e-5


def test_around_cudnn_eight_devices_compute_the_same_as_one(eight):
    assert eight["cudnn 4"]["part"] == [1, 2, 9, 8]
    assert eight["cudnn 3"]["part"] == [3, 2, 9, 8]
    assert max(eight["cudnn 4"]["furthest"], eight["cudnn 3"]["furthest"]) < 1e-5


def test_a_t5_with_it_trains_as_with_xla(random_params, monkeypatch):
    tokens, docids = np.array([[3, 4, 5, 1, 0]]), np.array([[[5, 3, 1], [4, 4, 1]]])
    models = {
        name: T5(preset("tiny", vocab_size=8, num_encoder_layers=1, num_decoder_layers=1, attention=name))
        for name in ("pallas", "xla")
    }
    params = random_params(models["xla"], tokens, docids)
    calls = []

    def counted(queries, keys, values, bias, mask):
        calls.append(None if bias is None else bias.shape)
        return pallas_attention(queries, keys, values, bias, mask, interpret=True)

    # XLA's form serves everywhere; here this one does too, where the bias can be had by distance
    served = forms.FORMS["pallas"]._replace(
        attend=counted, why_not=lambda task: "no distances" if task.biased and not task.by_distance else None
    )
    monkeypatch.setitem(forms.FORMS, "pallas", served)
    found = {}
    for name, model in models.items():

        def loss(params, model=model):
            return jnp.mean(model.apply({"params": params}, tokens, method="encode") ** 2)

        logits = jax.jit(lambda params, model=model: model.apply({"params": params}, tokens, docids))(params)
        found[name] = logits, jax.jit(jax.grad(loss))(params)
    assert calls[:3] == [(4, 9), (4, 5), None]
    np.testing.assert_allclose(found["pallas"][0], found["xla"][0], rtol=1e-4, atol=1e-4)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-4, atol=1e-4 * np.abs(y).max()),
        found["pallas"][1],
        found["xla"][1],
    )


ENCODER = Task("tpu", "bfloat16", 512, 512, 64, biased=True, by_distance=True)


def test_a_tpu_takes_it_where_it_can_serve():
    assert form_for("auto", ENCODER)[0] == "pallas"
    assert form_for("auto", ENCODER._replace(biased=False, by_distance=False))[0] == "pallas"
    others = {"platform": "cpu", "width": 12, "by_distance": False, "queries": 16, "keys": 8192}
    for field, value in others.items():
        assert form_for("pallas", ENCODER._replace(**{field: value}))[0] == "recompute", field
    assert form_for("xla", ENCODER)[0] == "xla"


MEMORY = """
from gr2_jax.planning.topology import devices_of, prepare_environment
prepare_environment()
import json, sys
import jax
from jax.sharding import SingleDeviceSharding
from gr2_jax.models.attention import by_position
from gr2_jax.models.attention_forms import xla_attention
from gr2_jax.models.attention_tpu import pallas_attention

own = SingleDeviceSharding(devices_of(sys.argv[1])[0])
qkv = jax.ShapeDtypeStruct((8, 12, 512, 64), "bfloat16", sharding=own)
bias = jax.ShapeDtypeStruct((12, 1023), "float32", sharding=own)
mask = jax.ShapeDtypeStruct((8, 512), "bool", sharding=own)

def memory(attend):
    def both(queries, keys, values, bias, mask, cotangent):
        out, pull = jax.vjp(lambda *x: attend(*x, mask), queries, keys, values, bias)
        return out, pull(cotangent)

    program = jax.jit(both).lower(qkv, qkv, qkv, bias, mask, qkv).compile()
    figures = program.memory_analysis()
    return figures.temp_size_in_bytes, figures.peak_memory_in_bytes, "512,512]" in program.as_text()

def laid_out(queries, keys, values, bias, mask):
    return xla_attention(queries, keys, values, by_position(bias, 512), mask)

print(json.dumps({"pallas": memory(pallas_attention), "xla": memory(laid_out)}))
"""


@pytest.mark.tpu_aot
@pytest.mark.parametrize("topology", ["v5e:2x2", "v5p:2x2x1", "v6e:2x2"])
def test_nothing_of_the_size_of_the_weights_is_in_a_tpu_s_memory(topology):
    pytest.importorskip("libtpu")
    done = subprocess.run([sys.executable, "-c", MEMORY, topology], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    (temporary, peak, weights), (xla_temporary, xla_peak, xla_weights) = found["pallas"], found["xla"]
    assert xla_weights
    assert not weights
    assert temporary < 2**20 < 12 * 512 * 512 * 2 < xla_temporary  # a bias in bfloat16 has 12 x 512 x 512 numbers
    assert peak < 0.75 * xla_peak
