"""Shards and their index: one clear sentence per kind of error. Pickles are not read."""

import json
import re

import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.models import T5, T5Config, load_hf_t5, save_hf_t5

st = pytest.importorskip("safetensors.numpy")

CONFIG = T5Config(vocab_size=11, d_model=6, d_kv=4, d_ff=5, num_heads=2, num_encoder_layers=1, num_decoder_layers=1)
INDEX = "model.safetensors.index.json"
FILES = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]


@pytest.fixture(scope="module")
def params(random_params):
    tokens = jnp.zeros((1, 1), jnp.int32)
    return random_params(T5(CONFIG), tokens, tokens)


@pytest.fixture
def sharded(params, tmp_path):
    """Three shards; `shared.weight`, the last by name, is in the last."""

    def write(change=lambda tensors: None):
        save_hf_t5(tmp_path, CONFIG, params)
        tensors = st.load_file(tmp_path / "model.safetensors")
        (tmp_path / "model.safetensors").unlink()
        change(tensors)
        names = sorted(tensors)
        places = {name: FILES[3 * i // len(names)] for i, name in enumerate(names)}
        for file in FILES:
            st.save_file({n: tensors[n] for n in names if places[n] == file}, tmp_path / file)
        (tmp_path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
        return tmp_path

    return write


def test_shards_are_read(sharded, params):
    _, loaded = load_hf_t5(sharded())
    np.testing.assert_array_equal(loaded["embedding"]["embedding"], params["embedding"]["embedding"])
    ours, theirs = (p["encoder"]["layer_0"]["feed_forward"]["wi"]["kernel"] for p in (loaded, params))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda index: index["weight_map"].update(more=FILES[0]),
            f"{FILES[0]}: tensor 'more' is missing, although {INDEX}",
        ),
        (
            lambda index: index["weight_map"].pop("shared.weight"),
            f"{FILES[2]}: tensor 'shared.weight' is not in {INDEX}",
        ),
        (lambda index: index["weight_map"].update(more="4.safetensors"), f"4.safetensors, which {INDEX} names"),
        (lambda index: index["weight_map"].update(more="../x"), "tensor 'more' is '../x', not the name of a file"),
        (lambda index: index["weight_map"].update(more=3), "tensor 'more' is 3, not the name"),
        (lambda index: index.update(weight_map={}), "is not an index of weights: it has no 'weight_map'"),
        (lambda index: index.update(weight_map=[1]), "is not an index of weights"),
        (lambda index: index.pop("weight_map"), "is not an index of weights"),
    ],
)
def test_wrong_index(sharded, change, message):
    path = sharded() / INDEX
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))
    with pytest.raises(UserError, match=re.escape(message)):
        load_hf_t5(path.parent)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_index_of_another_kind(sharded, content):
    folder = sharded()
    (folder / INDEX).write_bytes(content)
    with pytest.raises(UserError, match=r"index.json is not (JSON|UTF-8 text|an index of weights)"):
        load_hf_t5(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("shared.weight"), f"{INDEX}: tensor 'shared.weight' is missing"),
        (lambda t: t.update(adapter=np.ones(2)), f"{INDEX}: tensor 'adapter' is not part of this T5"),
        (
            lambda t: t.update({"shared.weight": np.ones((3, 6), np.float32)}),
            f"{FILES[2]}: tensor 'shared.weight' has shape (3, 6), but the config asks for (11, 6)",
        ),
        (
            lambda t: t.update({"shared.weight": np.ones((11, 6), np.int8)}),
            f"{FILES[2]}: tensor 'shared.weight' is of type I8, not F32, F16 or BF16",
        ),
        (
            lambda t: t.update({"decoder.embed_tokens.weight": t["shared.weight"] + 1}),
            "'decoder.embed_tokens.weight' should be the same as 'shared.weight' by config.json, but differs",
        ),
    ],
)
def test_wrong_tensors(sharded, change, message):
    with pytest.raises(UserError, match=re.escape(message)):
        load_hf_t5(sharded(change))


def test_truncated_shard(sharded):
    path = sharded() / FILES[1]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"{FILES[1]} is damaged or truncated"):
        load_hf_t5(path.parent)


def test_missing_shard(sharded):
    path = sharded() / FILES[1]
    path.unlink()
    with pytest.raises(UserError, match=re.escape(f"there is no {path}, which {INDEX} names")):
        load_hf_t5(path.parent)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin"])
def test_a_pickle_is_not_read(params, tmp_path, name):
    save_hf_t5(tmp_path, CONFIG, params)
    (tmp_path / "model.safetensors").rename(tmp_path / name)
    with pytest.raises(UserError, match=rf"{name} are a pickle, .*: where .*\.save_pretrained\("):
        load_hf_t5(tmp_path)
