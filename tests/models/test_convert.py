"""Hugging Face files -> checkpoint -> the same bytes; the files are built here from the format's description."""

import dataclasses
import json
import math
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from gr2_jax import cli
from gr2_jax.errors import UserError
from gr2_jax.models import T5, T5Config, load_hf_t5, save_hf_t5
from gr2_jax.models.checkpoint import load_t5, save_t5
from gr2_jax.models.convert import convert

st = pytest.importorskip("safetensors.numpy")

CONFIG = T5Config(
    vocab_size=11, d_model=6, d_kv=4, d_ff=5, num_heads=2, num_encoder_layers=1, num_decoder_layers=1, dropout_rate=0.2
)
UNTIED = dataclasses.replace(CONFIG, feed_forward="gated-gelu", tie_word_embeddings=False)
UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
TOKENIZER = {"spiece.model": b"\x00\xffmodel", "tokenizer_config.json": b"{}\r\n", "generation_config.json": b"{ }"}
TYPES = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}


def _write(path, tensors, kinds, metadata=None, padding=0):
    """The format by hand: u64 length, JSON header, bytes, in the order of `tensors`."""
    header, blobs, start = ({"__metadata__": metadata} if metadata else {}), [], 0
    for name, value in tensors.items():
        kind = kinds(name)
        blobs.append(np.ascontiguousarray(value).astype(TYPES[kind]).tobytes())
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [start, start + len(blobs[-1])]}
        start += len(blobs[-1])
    text = json.dumps(header, indent=padding or None).encode() + b" " * padding
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def _bytes(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _there_and_back(folder, tmp_path):
    convert(folder, tmp_path / "ours")
    assert not (tmp_path / "ours" / "config.json").exists()
    convert(tmp_path / "ours", tmp_path / "back")
    return _bytes(tmp_path / "back")


@pytest.fixture(scope="module")
def drawn(random_params):
    """Parameters of both models, as `T5` itself shapes them."""
    tokens = jnp.zeros((1, 1), jnp.int32)
    return {config: random_params(T5(config), tokens, tokens) for config in (CONFIG, UNTIED)}


def _tensors(config, drawn, folder):
    """A Hugging Face directory with a tokenizer, and its tensors."""
    save_hf_t5(folder, config, drawn[config])
    for name, content in TOKENIZER.items():
        (folder / name).write_bytes(content)
    return st.load_file(folder / "model.safetensors")


@pytest.fixture
def tied(drawn, tmp_path):
    return tmp_path / "hf", _tensors(CONFIG, drawn, tmp_path / "hf")


@pytest.fixture
def untied(drawn, tmp_path):
    return tmp_path / "hf", _tensors(UNTIED, drawn, tmp_path / "hf")


@pytest.fixture
def ours(tied, tmp_path):
    """A checkpoint of a bfloat16 file with a copy of the embedding."""
    folder, tensors = tied
    tensors["lm_head.weight"] = tensors["shared.weight"]
    _write(folder / "model.safetensors", tensors, lambda name: "BF16")
    convert(folder, tmp_path / "ours")
    return tmp_path / "ours"


def _trained(checkpoint, change, destination, **changes):
    config, params = load_t5(checkpoint)
    save_t5(destination, dataclasses.replace(config, **changes), change(params), source=checkpoint)
    return destination


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("model", ["tied", "untied"])
def test_one_file_comes_back_byte_for_byte(model, kind, request, tmp_path):
    folder, tensors = request.getfixturevalue(model)
    _write(folder / "model.safetensors", tensors, lambda name: kind, {"format": "pt"})
    before = _bytes(folder)
    assert _there_and_back(folder, tmp_path) == before


def test_order_types_metadata_padding_copies_and_the_unused_tensor_of_a_file(tied, tmp_path):
    folder, tensors = tied
    tensors |= dict.fromkeys(("lm_head.weight", "encoder.embed_tokens.weight"), tensors["shared.weight"])
    tensors[UNUSED] = np.linspace(-1, 1, 64, dtype=np.float32).reshape(32, 2)
    backwards = dict(reversed(tensors.items()))
    _write(
        folder / "model.safetensors",
        backwards,
        lambda name: "F32" if "wo" in name or "norm" in name or name == UNUSED else "F16",
        {"producer": "ä hand", "format": "pt", "a": "1"},
        padding=3,
    )
    (folder / "config.json").write_bytes((folder / "config.json").read_bytes().replace(b"\n", b"\r\n") + b"\n\n")
    before = _bytes(folder)
    assert _there_and_back(folder, tmp_path) == before


def test_special_values_survive(tied, tmp_path):
    folder, tensors = tied
    tensors["shared.weight"] = tensors["shared.weight"].copy()
    tensors["shared.weight"].flat[:6] = [-0.0, math.inf, -math.inf, math.nan, 1e-40, 2.0**-24]
    for kind in TYPES:
        _write(
            folder / "model.safetensors", tensors | {"lm_head.weight": tensors["shared.weight"]}, lambda _, k=kind: k
        )
        before = _bytes(folder)
        assert _there_and_back(folder, tmp_path / kind) == before


def _shard(folder, tensors, kind="F32", extra=None):
    """Three shards that get the tensors in turn, and their index."""
    files = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    places = {name: files[i % 3] for i, name in enumerate(tensors)}
    for file in files:
        _write(
            folder / file, {n: v for n, v in tensors.items() if places[n] == file}, lambda name: kind, {"format": "pt"}
        )
    (folder / "model.safetensors").unlink()
    index = {"metadata": {"total_size": 1}, "weight_map": places} | (extra or {})
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    return files


@pytest.mark.parametrize("kind", ["F32", "BF16"])
def test_shards_come_back_byte_for_byte(untied, tmp_path, kind):
    folder, tensors = untied
    whole = load_hf_t5(folder)[1]
    _shard(folder, tensors | {"decoder.embed_tokens.weight": tensors["shared.weight"]}, kind)
    before = _bytes(folder)
    assert _there_and_back(folder, tmp_path) == before
    rounded = jax.tree.map(lambda x: x.astype(TYPES[kind]).astype(np.float32), whole)
    jax.tree.map(np.testing.assert_array_equal, load_t5(folder)[1], rounded)
    jax.tree.map(np.testing.assert_array_equal, load_t5(tmp_path / "ours")[1], rounded)


def test_mt5_stays_mt5(untied, tmp_path):
    folder, _ = untied
    text = json.loads((folder / "config.json").read_text()) | {"model_type": "mt5", "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(text))
    before = _bytes(folder)
    lines = convert(folder, tmp_path / "ours")
    assert "mT5 (gated-gelu, untied), 1+1 layers of width 6" in lines[0]
    assert load_t5(tmp_path / "ours")[0] == UNTIED
    convert(tmp_path / "ours", tmp_path / "back")
    assert _bytes(tmp_path / "back") == before


def test_a_head_that_is_the_embedding_unscaled(untied, tmp_path):
    """transformers 5 writes an unscaled model with one embedding this way; training makes the head its own tensor."""
    folder, tensors = untied
    text = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(text | {"tie_word_embeddings": True, "scale_decoder_outputs": False})
    )
    del tensors["lm_head.weight"]
    _write(folder / "model.safetensors", tensors, lambda name: "F32")
    config, params = load_hf_t5(folder)
    assert config == UNTIED
    np.testing.assert_array_equal(params["output_embedding"], params["embedding"]["embedding"])
    before = _bytes(folder)
    assert _there_and_back(folder, tmp_path) == before

    moved = _trained(
        tmp_path / "ours", lambda p: p | {"output_embedding": p["output_embedding"] + 1}, tmp_path / "moved"
    )
    convert(moved, tmp_path / "apart")
    np.testing.assert_array_equal(load_hf_t5(tmp_path / "apart")[1]["output_embedding"], params["output_embedding"] + 1)


def test_a_trained_model_keeps_the_layout_of_its_files(ours, tmp_path):
    _, before = load_t5(ours)
    moved = _trained(ours, lambda params: jax.tree.map(lambda x: jnp.asarray(x * 1.1), params), tmp_path / "moved")
    lines = convert(moved, tmp_path / "back")
    assert lines[1] == f"wrote {tmp_path / 'back'}: model.safetensors, bfloat16"
    after = st.load_file(tmp_path / "back" / "model.safetensors")
    assert {value.dtype for value in after.values()} == {np.dtype(ml_dtypes.bfloat16)}
    assert np.array_equal(after["lm_head.weight"], after["shared.weight"])
    # bfloat16 keeps 8 significant bits
    expected = before["embedding"]["embedding"] * np.float32(1.1)
    np.testing.assert_allclose(after["shared.weight"].astype(np.float32), expected, rtol=2**-8)
    assert _bytes(tmp_path / "back").keys() == {"config.json", "model.safetensors", *TOKENIZER}


def test_values_beyond_float16(tied, tmp_path):
    folder, tensors = tied
    _write(folder / "model.safetensors", tensors, lambda name: "F16")
    convert(folder, tmp_path / "ours")
    moved = _trained(tmp_path / "ours", lambda params: jax.tree.map(lambda x: x + 1e5, params), tmp_path / "moved")
    with pytest.raises(UserError, match=r"' has values too large for float16"):
        convert(moved, tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf", "moved", "ours"]


def test_another_dropout_changes_only_that_field(ours, tied, tmp_path):
    moved = _trained(ours, lambda params: params, tmp_path / "moved", dropout_rate=0.0, dtype="bfloat16")
    convert(moved, tmp_path / "back")
    before, after = _bytes(tied[0]), _bytes(tmp_path / "back")
    texts = [json.loads(files.pop("config.json")) for files in (before, after)]
    assert texts[1] == texts[0] | {"dropout_rate": 0.0}
    assert after == before


def test_another_vocabulary_is_written_plainly(ours, tmp_path):
    def longer(params):
        table = params["embedding"]["embedding"]
        return params | {"embedding": {"embedding": np.concatenate([table, table[:2]])}}

    convert(_trained(ours, longer, tmp_path / "longer", vocab_size=13), tmp_path / "back")
    config, params = load_hf_t5(tmp_path / "back")
    assert config == dataclasses.replace(CONFIG, vocab_size=13)
    jax.tree.map(np.testing.assert_array_equal, params, longer(load_t5(ours)[1]))
    assert st.load_file(tmp_path / "back" / "model.safetensors")["shared.weight"].dtype == np.float32


def test_a_model_tied_after_loading_is_written_plainly(untied, tmp_path):
    convert(untied[0], tmp_path / "ours")

    def tie(params):
        return {name: value for name, value in params.items() if name != "output_embedding"}

    convert(_trained(tmp_path / "ours", tie, tmp_path / "tied", tie_word_embeddings=True), tmp_path / "back")
    config, params = load_hf_t5(tmp_path / "back")
    assert config == dataclasses.replace(UNTIED, tie_word_embeddings=True)
    jax.tree.map(np.testing.assert_array_equal, params, tie(load_t5(tmp_path / "ours")[1]))


def test_a_model_without_a_record_is_written_as_by_save_hf_t5(tied, tmp_path):
    config, params = load_hf_t5(tied[0])
    save_t5(tmp_path / "ours", config, params)
    lines = convert(tmp_path / "ours", tmp_path / "back")
    assert lines == [
        f"read {tmp_path / 'ours'}: T5 1.0 (relu, tied), 1+1 layers of width 6, 0.0 M parameters, float32",
        f"wrote {tmp_path / 'back'}: model.safetensors, float32",
    ]
    save_hf_t5(tmp_path / "plain", config, params)
    assert _bytes(tmp_path / "back") == _bytes(tmp_path / "plain")


@pytest.mark.parametrize("text", ["{", "[]", '{"config": "{}"}', '{"config": "{}", "index": null, "headers": {}}'])
def test_damaged_record(ours, tmp_path, text):
    (ours / "huggingface.json").write_text(text)
    with pytest.raises(UserError, match=r"huggingface.json is (damaged|not JSON)"):
        convert(ours, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_record_cannot_write_outside_the_folder(ours, tmp_path):
    record = json.loads((ours / "huggingface.json").read_text())
    record["headers"] = {"../model.safetensors": record["headers"]["model.safetensors"]}
    (ours / "huggingface.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"huggingface.json is damaged"):
        convert(ours, tmp_path / "back")


def _run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["convert", *map(str, arguments)])
    return exit_.value.code, *capsys.readouterr()


def test_command(tied, tmp_path, capsys):
    folder, _ = tied
    code, out, err = _run(capsys, folder, tmp_path / "deep" / "ours")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"read {folder}: T5 1.0 (relu, tied), 1+1 layers of width 6, 0.0 M parameters, float32 in model.safetensors",
        f"wrote {tmp_path / 'deep' / 'ours'}: a checkpoint of gr2_jax, float32",
    ]
    code, out, err = _run(capsys, tmp_path / "deep" / "ours", tmp_path / "back")
    assert (code, err) == (0, "")
    assert _bytes(tmp_path / "back") == _bytes(folder)


def test_command_refuses(tied, tmp_path, capsys):
    folder, _ = tied
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    for arguments, message in [
        ((folder, folder), f"{folder} exists and is not empty: name a new folder"),
        ((folder, tmp_path / "file"), f"{tmp_path / 'file'} is a file: name a new folder"),
        ((tmp_path / "file", tmp_path / "x"), f"{tmp_path / 'file'} is a file; name the folder that holds the model"),
        ((tmp_path / "absent", tmp_path / "x"), f"there is no folder {tmp_path / 'absent'}"),
        ((tmp_path / "empty", tmp_path / "x"), f"{tmp_path / 'empty'} holds no model: neither t5.json (ours) nor "),
        ((folder,), "the following arguments are required: destination"),
        ((folder, tmp_path / "x", "--force"), "'--force' is no option of this command; see --help"),
    ]:
        code, out, err = _run(capsys, *arguments)
        assert (code, out) == (2, "")
        assert err.startswith(f"gr2: {message}")
        assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "hf"]
    assert (tmp_path / "file").read_text() == "mine"


def test_an_empty_folder_is_a_destination(tied, tmp_path):
    (tmp_path / "ours").mkdir()
    convert(tied[0], tmp_path / "ours")
    assert load_t5(tmp_path / "ours")[0] == CONFIG


def test_a_missing_package_is_named_with_its_extra(tied, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    code, out, err = _run(capsys, tied[0], tmp_path / "x")
    assert (code, out) == (2, "")
    assert err == "gr2: safetensors is not installed: pip install -e '.[huggingface]' in the clone\n"
    assert not list(tmp_path.glob("x*"))
