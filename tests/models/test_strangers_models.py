"""Models of strangers: weights or one sentence, whatever their headers and configs claim, in bounded memory."""

import contextlib
import dataclasses
import json
import shutil
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.checksums import sealed
from gr2_jax.errors import UserError
from gr2_jax.models import T5, T5Config, load_hf_t5, load_t5, save_hf_t5, save_t5
from gr2_jax.models.config import config_from
from gr2_jax.models.huggingface.record import RECORD, Record
from gr2_jax.models.orbax_border import check_claim

CONFIG = T5Config(vocab_size=11, d_model=6, d_kv=4, d_ff=5, num_heads=2, num_encoder_layers=1, num_decoder_layers=1)
HUGE = 10**15


@pytest.fixture(scope="module")
def params(random_params):
    tokens = jnp.zeros((1, 1), jnp.int32)
    return random_params(T5(CONFIG), tokens, tokens)


@pytest.fixture(scope="module")
def theirs(params, tmp_path_factory):
    folder = tmp_path_factory.mktemp("theirs")
    save_hf_t5(folder, CONFIG, params)
    return folder


@pytest.fixture(scope="module")
def ours(params, theirs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ours") / "t5"
    save_t5(folder, CONFIG, params, theirs)
    return folder


@contextlib.contextmanager
def at_most(bytes_taken):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < bytes_taken
    finally:
        tracemalloc.stop()


def rewritten(folder, change):
    """Changes the header of the weights, and its length with it."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header["shared.weight"].update(shape=[HUGE, 6]),
        lambda header: header["shared.weight"].update(data_offsets=[0, HUGE]),
        lambda header: header["shared.weight"].update(shape=[HUGE, 6], data_offsets=[0, HUGE * 24]),
        lambda header: header["shared.weight"].update(shape=[-1, -66]),
        lambda header: header["shared.weight"].update(dtype="O"),
        lambda header: header["shared.weight"].update(data_offsets=[24, 0]),
        lambda header: header.update(extra={"dtype": "F32", "shape": [HUGE], "data_offsets": [0, 0]}),
        lambda header: header.update({str(i): header["shared.weight"] for i in range(2000)}),
    ],
)
def test_a_header_that_claims_what_is_not_there(theirs, tmp_path, change):
    folder = shutil.copytree(theirs, tmp_path / "x")
    rewritten(folder, change)
    with at_most(16 << 20), pytest.raises(UserError, match=r"model.safetensors"):
        load_hf_t5(folder)


@pytest.mark.parametrize("length", [2**63, HUGE, 2**40, 0])
def test_a_header_longer_than_the_file(theirs, tmp_path, length):
    folder = shutil.copytree(theirs, tmp_path / "x")
    path = folder / "model.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    with at_most(16 << 20), pytest.raises(UserError, match="damaged or truncated"):
        load_hf_t5(folder)


@pytest.mark.parametrize("field", ["num_layers", "num_decoder_layers", "vocab_size", "d_model", "num_heads"])
def test_a_config_of_a_model_that_no_memory_holds(theirs, ours, tmp_path, field):
    folder = shutil.copytree(theirs, tmp_path / "x")
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | {field: HUGE}))
    with at_most(16 << 20), pytest.raises(UserError, match=rf"{field} is {HUGE}, which no T5 has"):
        load_t5(folder)
    folder = shutil.copytree(ours, tmp_path / "y")
    raw = json.loads((folder / "t5.json").read_text())
    raw["config"][{"num_layers": "num_encoder_layers"}.get(field, field)] = HUGE
    (folder / "t5.json").write_text(json.dumps(sealed(raw)))
    with at_most(16 << 20), pytest.raises(UserError, match=rf"is {HUGE}, which no T5 has"):
        load_t5(folder)


@settings(max_examples=60)
@given(st.data())
def test_damaged_safetensors_are_weights_or_refused(theirs, tmp_path_factory, data):
    folder = shutil.copytree(theirs, tmp_path_factory.mktemp("x") / "x")
    path = folder / data.draw(st.sampled_from(["model.safetensors", "config.json"]))
    content = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little") if path.suffix == ".safetensors" else len(content)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with at_most(16 << 20), contextlib.suppress(UserError):
        config, params = load_hf_t5(folder)
        assert params["embedding"]["embedding"].shape == (config.vocab_size, config.d_model)
        Record.of(folder)


@settings(max_examples=25)
@given(st.data())
def test_damaged_checkpoints_are_weights_or_refused(ours, tmp_path_factory, data):
    """The sizes of files are on record, so bytes change and no file is cut."""
    folder = shutil.copytree(ours, tmp_path_factory.mktemp("x") / "x")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    path = folder / data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        config, params = load_t5(folder)
        assert params["embedding"]["embedding"].shape == (config.vocab_size, config.d_model)
    with contextlib.suppress(UserError):
        Record.load(folder / RECORD)


def test_shapes_that_a_folder_cannot_hold(tmp_path):
    (tmp_path / "x").write_bytes(bytes(1000))
    check_claim(tmp_path, {"a": jax.ShapeDtypeStruct((1000, 1000), np.float32)})
    with pytest.raises(UserError, match="it promises arrays of 4,000,000,000,000,000 bytes and has 1,000"):
        check_claim(tmp_path, {"a": jax.ShapeDtypeStruct((HUGE,), np.float32)})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vocab_size", HUGE),
        ("vocab_size", -1),
        ("vocab_size", "32128"),
        ("vocab_size", True),
        ("vocab_size", 3.5),
        ("num_encoder_layers", 10**6),
        ("dropout_rate", None),
        ("dropout_rate", float("nan")),
        ("dropout_rate", 1.5),
        ("scan_layers", 1),
        ("dtype", "float8"),
        ("remat", ["full"]),
        ("width", 3),
    ],
)
def test_the_config_in_a_training_s_record_is_checked(name, value):
    fields = dataclasses.asdict(CONFIG)
    assert config_from(fields, "stage.json") == CONFIG
    assert config_from({"vocab_size": 11}, "stage.json").vocab_size == 11  # of a version with fewer fields
    with pytest.raises(UserError, match=r"stage.json|of a T5"):
        config_from(fields | {name: value}, "stage.json")
    for other in (None, [], "t5"):
        with pytest.raises(UserError, match="does not describe a T5"):
            config_from(other, "stage.json")
