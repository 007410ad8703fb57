"""Models by their name on the Hugging Face hub: from a cache made by hand, and without a network."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.models import T5, T5Config, load_hf_t5, load_t5, save_hf_t5
from gr2_jax.models.huggingface.hub import local_directory

pytest.importorskip("safetensors")
pytest.importorskip("transformers")
CONFIG = T5Config(vocab_size=11, d_model=6, d_kv=4, d_ff=5, num_heads=2, num_encoder_layers=1, num_decoder_layers=1)
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def params(random_params):
    tokens = jnp.zeros((1, 1), jnp.int32)
    return random_params(T5(CONFIG), tokens, tokens)


@pytest.fixture
def snapshot(params, tmp_path, monkeypatch):
    """The cache folder of the model org/name, with one or two files; the hub is unreachable."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = tmp_path / "hub" / "models--org--name"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(REVISION)
    save_hf_t5(model / "snapshots" / REVISION, CONFIG, params)
    return model / "snapshots" / REVISION


@pytest.mark.parametrize("load", [load_hf_t5, load_t5])
def test_from_the_cache(load, snapshot, params):
    config, loaded = load("org/name")
    assert config == CONFIG
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_a_folder_here_comes_before_the_hub(snapshot, params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_hf_t5(tmp_path / "org" / "name", CONFIG, jax.tree.map(lambda x: x + 1, params))
    _, loaded = load_hf_t5("org/name")
    np.testing.assert_array_equal(loaded["embedding"]["embedding"], params["embedding"]["embedding"] + 1)


def test_shards_from_the_cache(snapshot, params):
    (snapshot / "model.safetensors").rename(snapshot / "model-00001-of-00001.safetensors")
    from safetensors import safe_open

    with safe_open(snapshot / "model-00001-of-00001.safetensors", "numpy") as file:
        names = ", ".join(f'"{name}": "model-00001-of-00001.safetensors"' for name in file.keys())  # noqa: SIM118
    (snapshot / "model.safetensors.index.json").write_text(f'{{"weight_map": {{{names}}}}}')
    jax.tree.map(np.testing.assert_array_equal, load_hf_t5("org/name")[1], params)


def test_weights_that_are_not_safetensors(snapshot):
    (snapshot / "model.safetensors").rename(snapshot / "pytorch_model.bin")
    with pytest.raises(
        UserError, match=r"^'org/name' has no safetensors weights .*from_pretrained\('org/name'\)\.save_"
    ):
        load_hf_t5("org/name")


@pytest.mark.parametrize("name", ["org/other", "google-t5/t5-base", "other"])
def test_neither_a_folder_nor_in_the_cache(snapshot, name):
    with pytest.raises(
        UserError, match=rf"^there is no folder {name} here, and the Hugging Face hub did not provide it: "
    ):
        load_hf_t5(name)


@pytest.mark.parametrize("name", ["/absent/x", "./absent", "a/b/c", "../x", "a b"])
def test_invalid_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)  # must not be imported
    with pytest.raises(UserError, match=r"^there is no folder \S+( b)?$"):
        local_directory(name)


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "transformers.utils", None)
    with pytest.raises(UserError, match=r"transformers\S* is needed: pip install -e '\.\[huggingface\]' in the clone"):
        load_hf_t5("org/name")


def _convert(name, tmp_path, **environment):
    command = [sys.executable, "-m", "gr2_jax", "convert", name, str(tmp_path / "out")]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "HF_HOME": str(tmp_path / "home")} | environment
    environment.pop("HF_HUB_CACHE", None)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_command_offline(snapshot, tmp_path):
    """The settings of a user's own shell: HF_HOME and HF_HUB_OFFLINE."""
    (tmp_path / "home").mkdir()
    (tmp_path / "hub").rename(tmp_path / "home" / "hub")
    done = _convert("org/name", tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("read org/name: T5 1.0 (relu, tied)")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["huggingface.json", "params", "t5.json"]


@pytest.mark.slow
def test_command_without_a_network(tmp_path):
    """Nothing listens at the endpoint; the hub's client tries six times before it gives up."""
    done = _convert("org/name", tmp_path, HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="0")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("gr2: there is no folder org/name here, and the Hugging Face hub did not provide it: ")
    assert not (tmp_path / "out").exists()
