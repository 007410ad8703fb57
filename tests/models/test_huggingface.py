"""Hugging Face files without torch: the round trip, and one clear sentence per kind of error in a file."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.models import T5, T5Config, load_hf_t5, save_hf_t5

st = pytest.importorskip("safetensors.numpy")

CONFIG = T5Config(
    vocab_size=11, d_model=6, d_kv=4, d_ff=5, num_heads=2, num_encoder_layers=2, num_decoder_layers=1, dropout_rate=0.2
)
CONFIGS = {
    "1.0": CONFIG,
    "1.1": dataclasses.replace(CONFIG, feed_forward="gated-gelu", tie_word_embeddings=False),
    "no encoder layers": dataclasses.replace(CONFIG, num_encoder_layers=0),
}


def _random_params(config):
    """Distinct numbers in the shapes of `init`, without running it."""
    tokens = jnp.zeros((1, 1), jnp.int32)
    shapes = jax.eval_shape(T5(config).init, jax.random.key(0), tokens, tokens)["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)


@pytest.fixture(scope="module")
def params():
    return _random_params(CONFIG)


@pytest.fixture
def saved(params, tmp_path):
    save_hf_t5(tmp_path, CONFIG, params)
    return tmp_path


def _edit_config(directory, **changes):
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _edit_weights(directory, change):
    path = directory / "model.safetensors"
    tensors = st.load_file(path)
    change(tensors)
    st.save_file(tensors, path)


@pytest.mark.parametrize("name", CONFIGS)
def test_round_trip(name, tmp_path):
    config, params = CONFIGS[name], _random_params(CONFIGS[name])
    save_hf_t5(tmp_path / "new" / "folder", config, params)
    loaded_config, loaded = load_hf_t5(tmp_path / "new" / "folder")
    assert loaded_config == config
    assert jax.tree.structure(loaded) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, loaded, params)
    assert not list(tmp_path.rglob("*.partial"))


def test_linear_layers_are_transposed(saved, params):
    tensors = st.load_file(saved / "model.safetensors")
    layer = params["decoder"]["layer_0"]
    wi = tensors["decoder.block.0.layer.2.DenseReluDense.wi.weight"]
    np.testing.assert_array_equal(wi, layer["feed_forward"]["wi"]["kernel"].T)
    query = tensors["decoder.block.0.layer.1.EncDecAttention.q.weight"]
    np.testing.assert_array_equal(query, layer["cross_attention"]["query"]["kernel"].T)
    np.testing.assert_array_equal(tensors["shared.weight"], params["embedding"]["embedding"])


def test_fields_that_a_config_leaves_out_are_t5s_defaults(saved):
    path = saved / "config.json"
    left = {k: v for k, v in json.loads(path.read_text()).items() if not k.startswith(("relative", "layer", "feed"))}
    del left["num_decoder_layers"]  # as many as the encoder
    path.write_text(json.dumps(left | {"num_layers": 1}))

    def drop_second_layer_and_widen(tensors):
        for name in [n for n in tensors if n.startswith("encoder.block.1")]:
            del tensors[name]
        for stack in ("encoder", "decoder"):
            tensors[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = np.ones((32, 2), "f4")

    _edit_weights(saved, drop_second_layer_and_widen)
    config, _ = load_hf_t5(saved)
    assert config == dataclasses.replace(CONFIG, num_encoder_layers=1)


@pytest.mark.parametrize("alias", ["decoder.embed_tokens.weight", "encoder.embed_tokens.weight"])
def test_shared_embedding_under_another_name(saved, params, alias):
    _edit_weights(saved, lambda tensors: tensors.update({alias: tensors.pop("shared.weight")}))
    np.testing.assert_array_equal(load_hf_t5(saved)[1]["embedding"]["embedding"], params["embedding"]["embedding"])


def test_equal_copies_and_the_unused_bias_are_ignored(saved, params):
    unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    _edit_weights(
        saved,
        lambda tensors: tensors.update(
            {"lm_head.weight": tensors["shared.weight"].copy(), unused: np.zeros((32, 2), np.float32)}
        ),
    )
    jax.tree.map(np.testing.assert_array_equal, load_hf_t5(saved)[1], params)


def test_tied_model_with_another_output_embedding(saved):
    _edit_weights(saved, lambda tensors: tensors.update({"lm_head.weight": tensors["shared.weight"] + 1}))
    with pytest.raises(UserError, match=r"'lm_head.weight' should be the same as 'shared.weight'"):
        load_hf_t5(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "bart"}, "not a supported T5 config: model_type is 'bart'"),
        ({"decoder_start_token_id": 2}, "decoder_start_token_id is 2, not 0"),
        ({"feed_forward_proj": "gated-silu"}, "feed_forward_proj is 'gated-silu', not one of relu, gated-gelu"),
        ({"d_model": "6"}, "d_model is '6', not a non-negative int"),
        ({"num_layers": -1}, "num_layers is -1, not a non-negative int"),
        ({"layer_norm_epsilon": float("nan")}, "layer_norm_epsilon is nan, not a non-negative float"),
        ({"num_heads": True}, "num_heads is True"),
        ({"vocab_size": 12}, "'shared.weight' has shape (11, 6), but the config asks for (12, 6)"),
        ({"num_layers": 3}, "'encoder.block.2.layer.0.SelfAttention.k.weight' is missing (and 7 more)"),
        ({"tie_word_embeddings": False}, "'lm_head.weight' is missing"),
    ],
)
def test_wrong_config(saved, changes, message):
    _edit_config(saved, **changes)
    with pytest.raises(UserError, match=re.escape(message)):
        load_hf_t5(saved)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("[1]", "is not a T5 config"), ('{"hidden_size": 3}', "is not a T5 config")],
)
def test_config_of_another_kind(saved, text, message):
    (saved / "config.json").write_text(text)
    with pytest.raises(UserError, match=message):
        load_hf_t5(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("encoder.final_layer_norm.weight"), "'encoder.final_layer_norm.weight' is missing"),
        (lambda t: t.update(adapter=np.ones(2)), "'adapter' is not part of this T5"),
        (
            lambda t: t.update({"encoder.block.1.layer.1.DenseReluDense.wo.weight": np.ones((5, 6), np.float32)}),
            "DenseReluDense.wo.weight' has shape (5, 6), but the config asks for (6, 5)",
        ),
        (lambda t: t.update({"shared.weight": np.ones((11, 6), np.int8)}), "is of type I8, not F32, F16 or BF16"),
    ],
)
def test_wrong_weights(saved, change, message):
    _edit_weights(saved, change)
    with pytest.raises(UserError, match=re.escape(message)):
        load_hf_t5(saved)


@pytest.mark.parametrize("keep", [0, 5, 300, -1])
def test_truncated_file(saved, keep):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"model.safetensors is damaged or truncated"):
        load_hf_t5(saved)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file(saved, name):
    (saved / name).unlink()
    with pytest.raises(UserError, match=name):
        load_hf_t5(saved)


def test_params_of_another_config_are_not_saved(params, tmp_path):
    with pytest.raises(UserError, match=r"params: tensor .*DenseReluDense.wi.weight' has shape \(5, 6\)"):
        save_hf_t5(tmp_path / "x", dataclasses.replace(CONFIG, d_ff=7), params)
    with pytest.raises(UserError, match=r"params: tensor .* is missing"):
        save_hf_t5(tmp_path / "x", CONFIG, {"t5": params})
    assert not (tmp_path / "x").exists()


def test_an_interrupted_save_leaves_the_old_files(saved, params, monkeypatch):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}

    def interrupted(tensors, path, metadata):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(st, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_hf_t5(saved, CONFIG, jax.tree.map(lambda x: x + 1, params))
    assert {name: (saved / name).read_bytes() for name in before} == before
