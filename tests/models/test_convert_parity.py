"""Files written by transformers come back from our checkpoint byte for byte, and transformers reads trained models."""

import hashlib

import jax
import numpy as np
import pytest

from gr2_jax.models import load_hf_t5, load_t5, save_t5
from gr2_jax.models.convert import convert

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIZES = {
    "vocab_size": 40,
    "d_model": 16,
    "d_kv": 6,
    "d_ff": 24,
    "num_layers": 2,
    "num_decoder_layers": 1,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"


def _model(name):
    torch.manual_seed(0)
    family = getattr(transformers, "MT5Config" if name.startswith("mT5") else "T5Config")
    apart = name in ("1.1", "mT5")
    kind = (
        {} if name == "1.0" else {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": not name.startswith("1.1")}
    )
    model = transformers.AutoModelForSeq2SeqLM.from_config(family(**SIZES, **kind))
    if apart:  # transformers 5 creates every T5 with one embedding
        model.lm_head.weight = torch.nn.Parameter(torch.randn(40, 16))
    return model


@pytest.fixture(scope="module", params=["1.0", "1.1", "1.1 with one embedding", "mT5", "mT5 with one embedding"])
def model(request):
    return _model(request.param)


def _hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def _there_and_back(folder, tmp_path):
    convert(folder, tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "back")
    assert _hashes(tmp_path / "back") == _hashes(folder)


@pytest.mark.parametrize("max_shard_size", ["1GB", "10KB"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_same_bytes(model, dtype, max_shard_size, tmp_path):
    model.to(getattr(torch, dtype)).save_pretrained(tmp_path / "hf", max_shard_size=max_shard_size)
    files = {path.name for path in (tmp_path / "hf").iterdir()}
    assert ("model.safetensors.index.json" in files) == (max_shard_size == "10KB")
    assert {"config.json", "generation_config.json"} < files
    _there_and_back(tmp_path / "hf", tmp_path)
    model.to(torch.float32)


def test_a_file_like_the_published_ones(tmp_path):
    """With copies of the embedding and the unused tensor."""
    from safetensors.torch import save_file

    model = _model("1.0")
    model.save_pretrained(tmp_path / "hf")
    tensors = {name: value.clone() for name, value in model.state_dict().items()}
    assert {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"} < tensors.keys()
    save_file(tensors | {UNUSED: torch.randn(32, 4)}, tmp_path / "hf" / "model.safetensors", {"format": "pt"})
    _there_and_back(tmp_path / "hf", tmp_path)


@pytest.mark.parametrize("name", ["1.0", "1.1", "mT5", "mT5 with one embedding"])
def test_transformers_reads_what_was_trained_here(name, tmp_path):
    model = _model(name)
    model.save_pretrained(tmp_path / "hf", max_shard_size="10KB")
    config, params = load_t5(tmp_path / "hf")
    save_t5(tmp_path / "ours", config, jax.tree.map(lambda x: x * 1.5, params), source=tmp_path / "hf")
    convert(tmp_path / "ours", tmp_path / "back")
    assert _hashes(tmp_path / "back").keys() == _hashes(tmp_path / "hf").keys()
    loaded, info = type(model).from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not any(info.values())
    for name_, value in model.state_dict().items():
        np.testing.assert_array_equal(loaded.state_dict()[name_].numpy(), value.numpy() * np.float32(1.5))
    tokens = torch.tensor([[5, 9, 3, 1]])
    assert loaded(input_ids=tokens, decoder_input_ids=tokens).logits.isfinite().all()
    jax.tree.map(np.testing.assert_array_equal, load_hf_t5(tmp_path / "back")[1], load_t5(tmp_path / "ours")[1])
