"""Our T5 checkpoint: it loads as saved, whole or not at all, and damage is reported in one sentence."""

import dataclasses
import json
import resource
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.checksums import SEAL, sealed
from gr2_jax.errors import UserError
from gr2_jax.models import T5, T5Config, load_t5, save_hf_t5, save_t5

CONFIG = T5Config(
    vocab_size=300, d_model=6, d_kv=4, d_ff=5, num_heads=2, num_encoder_layers=2, num_decoder_layers=1, dropout_rate=0.2
)
UNTIED = dataclasses.replace(CONFIG, feed_forward="gated-gelu", tie_word_embeddings=False)


@pytest.fixture(scope="module")
def params(random_params):
    tokens = jnp.zeros((1, 1), jnp.int32)
    return random_params(T5(CONFIG), tokens, tokens)


@pytest.fixture(scope="module")
def whole(params, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    save_t5(folder, CONFIG, params)
    return folder


@pytest.fixture
def saved(whole, tmp_path):
    """A copy, to be damaged."""
    return shutil.copytree(whole, tmp_path / "saved")


@pytest.mark.parametrize("config", [UNTIED, dataclasses.replace(CONFIG, num_encoder_layers=0)])
def test_round_trip(config, random_params, tmp_path):
    tokens = jnp.zeros((1, 1), jnp.int32)
    params = random_params(T5(config), tokens, tokens)
    save_t5(tmp_path / "new" / "folder", config, jax.tree.map(jnp.asarray, params))
    loaded_config, loaded = load_t5(tmp_path / "new" / "folder")
    assert loaded_config == config
    assert jax.tree.structure(loaded) == jax.tree.structure(params)
    assert {(type(x), x.dtype) for x in jax.tree.leaves(loaded)} == {(np.ndarray, np.dtype("float32"))}
    jax.tree.map(np.testing.assert_array_equal, loaded, params)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["folder"]


def test_parameters_in_half_precision_are_kept_in_float32(params, tmp_path):
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
    save_t5(tmp_path / "x", CONFIG, half)
    jax.tree.map(np.testing.assert_array_equal, load_t5(tmp_path / "x")[1], jax.tree.map(np.float32, half))


def test_only_the_architecture_is_kept(params, tmp_path, whole):
    save_t5(tmp_path / "x", dataclasses.replace(CONFIG, dtype="bfloat16"), params)
    assert load_t5(tmp_path / "x")[0] == CONFIG
    assert (tmp_path / "x" / "t5.json").read_text().count('"dtype"') == 0


def test_load_reads_hugging_face_directories(params, tmp_path):
    pytest.importorskip("safetensors")
    save_hf_t5(tmp_path, CONFIG, params)
    config, loaded = load_t5(tmp_path)
    assert config == CONFIG
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_the_tokenizer_is_copied(params, saved, tmp_path):
    (saved / "spiece.model").write_bytes(b"\x00model")
    (saved / "notes.txt").write_text("mine")
    save_t5(tmp_path / "x", CONFIG, params, source=saved)
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["params", "spiece.model", "t5.json"]
    assert (tmp_path / "x" / "spiece.model").read_bytes() == b"\x00model"


def test_an_occupied_folder_is_left_alone(params, saved, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=r"saved exists and is not empty: name a new folder"):
        save_t5(saved, CONFIG, params)
    assert sorted(tmp_path.rglob("*")) == before


def test_params_of_another_config_are_not_saved(params, tmp_path):
    with pytest.raises(UserError, match=r"params: tensor .*DenseReluDense.wi.weight' has shape \(5, 6\)"):
        save_t5(tmp_path / "x", dataclasses.replace(CONFIG, d_ff=7), params)
    with pytest.raises(UserError, match=r"params: tensor .* is missing"):
        save_t5(tmp_path / "x", CONFIG, {"t5": params})
    stacked = params | {"decoder": params["decoder"] | {"layers": params["decoder"]["layer_0"]}}
    with pytest.raises(UserError, match=r"params have scanned layers, .* give unstack_layers\(params\)"):
        save_t5(tmp_path / "x", CONFIG, stacked)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_save_leaves_nothing(params, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gr2_jax.models.checkpoint.architecture", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_t5(tmp_path / "x", CONFIG, params)
    assert not list(tmp_path.iterdir())


def test_leftovers_of_a_killed_run_do_not_matter(params, tmp_path):
    (tmp_path / "x.partial" / "params").mkdir(parents=True)
    (tmp_path / "x.partial" / "params" / "junk").touch()
    save_t5(tmp_path / "x", CONFIG, params)
    load_t5(tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


# orbax closes its event loop at the first failure, which the other writes then find closed
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk(params, tmp_path):
    """A limit on the size of files stands for a full disk: the same writes fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(UserError, match=rf"cannot write {tmp_path / 'x'}: .*too large"):
            save_t5(tmp_path / "x", CONFIG, params)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2, but this version of gr2_jax reads format 1"),
        ({"format": None}, "is damaged: it has no 'format'"),
        ({"config": None}, "is damaged: it does not describe a T5"),
        ({"config": {"d_model": 6}}, "is damaged: it does not describe a T5"),
        ({"files": 3}, "is damaged: it does not describe a T5"),
        ({"d_model": "6"}, "d_model is '6', not a non-negative int"),
        ({"num_decoder_layers": -1}, "num_decoder_layers is -1, not a non-negative int"),
        ({"num_decoder_layers": 2}, r"saved is damaged: params: tensor 'decoder.block.1.*' is missing \(and 12 more\)"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings is 1, not true or false"),
        ({"feed_forward": "silu"}, "feed_forward is 'silu', not one of relu, gated-gelu"),
        ({"vocab_size": 301}, r"'shared.weight' has shape \(300, 6\), but the config asks for \(301, 6\)"),
    ],
)
def test_wrong_description(saved, changes, message):
    path = saved / "t5.json"
    raw = json.loads(path.read_text())
    for name, value in changes.items():
        (raw if name in raw else raw["config"])[name] = value
    path.write_text(json.dumps(sealed(raw)))  # as another program might write it
    with pytest.raises(UserError, match=message):
        load_t5(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_description_of_another_kind(saved, text):
    (saved / "t5.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"t5.json is (not JSON|not UTF-8 text|damaged)"):
        load_t5(saved)


def test_every_file_truncated_or_missing(whole, saved, capfd):
    """One sentence each, and nothing on the terminal."""
    files = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file() and path.name != "t5.json"]
    assert len(files) > 4
    for file in files:
        (saved / file).write_bytes((whole / file).read_bytes()[:-1])
        with pytest.raises(UserError, match=rf"saved is damaged: {file} has \d+ bytes, not \d+$"):
            load_t5(saved)
        (saved / file).unlink()
        with pytest.raises(UserError, match=rf"saved is damaged: {file} is missing$"):
            load_t5(saved)
        shutil.copyfile(whole / file, saved / file)
    load_t5(saved)
    assert capfd.readouterr() == ("", "")


def test_files_of_the_right_size_with_other_content(saved):
    for path in (saved / "params").rglob("*"):
        if path.is_file():
            path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(UserError, match=r"saved is damaged: params/\S+ was changed after it was written$"):
        load_t5(saved)
    describe(saved, crc32={})
    with pytest.raises(UserError, match=r"params is damaged: "):
        load_t5(saved)


def describe(folder, **changes):
    """A changed description with a matching checksum, as another program might write it."""
    raw = json.loads((folder / "t5.json").read_text()) | changes
    (folder / "t5.json").write_text(json.dumps(sealed(raw)))


def test_every_bit_counts(whole, saved):
    """One bit of each file, and of the description: Orbax alone reads most of them as other numbers."""
    files = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
    for file in files:
        content = bytearray((whole / file).read_bytes())
        content[len(content) // 2] ^= 4
        (saved / file).write_bytes(content)
        with pytest.raises(UserError, match=r"damaged|is not JSON|has format"):
            load_t5(saved)
        shutil.copyfile(whole / file, saved / file)
    load_t5(saved)


def test_a_checkpoint_from_before_there_were_checksums_is_read(saved, params):
    raw = json.loads((saved / "t5.json").read_text())
    (saved / "t5.json").write_text(json.dumps({key: raw[key] for key in raw if key not in ("crc32", SEAL)}))
    jax.tree.map(np.testing.assert_array_equal, load_t5(saved)[1], params)


def test_no_params_at_all(saved):
    shutil.rmtree(saved / "params")
    with pytest.raises(UserError, match=r"saved is damaged: params/.* is missing$"):
        load_t5(saved)


def test_no_checkpoint_of_either_kind(tmp_path):
    with pytest.raises(UserError, match=r"holds no model: neither t5.json \(ours\) nor config.json"):
        load_t5(tmp_path)
    with pytest.raises(UserError, match=r"there is no folder "):
        load_t5(tmp_path / "absent")


def test_importing_the_models_loads_no_reader_of_files():
    code = (
        "import sys, gr2_jax.models; print({'orbax', 'tensorstore', 'safetensors', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
