"""A sentence encoder of random weights in a folder as sentence-transformers writes one, without torch."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

WIDTH, LAYERS, HEADS, WIDE, LONGEST = 8, 2, 2, 12, 24
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "sort", "array", "matrix", "vector", "sparse", "dense", "solve", "root"]
CONFIG = {
    "model_type": "bert",
    "vocab_size": len(WORDS),
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": WIDE,
    "max_position_embeddings": LONGEST,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}
MODULES = [
    {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]


def tensors(seed: int = 0, prefix: str = "") -> dict[str, np.ndarray]:
    rng, found = np.random.default_rng(seed), {}

    def add(name: str, *shape: int, around: float = 0.0) -> None:
        found[prefix + name] = (around + rng.normal(scale=0.3, size=shape)).astype(np.float32)

    def dense(name: str, out: int, into: int) -> None:
        add(f"{name}.weight", out, into)
        add(f"{name}.bias", out)

    def norm(name: str) -> None:
        add(f"{name}.weight", WIDTH, around=1.0)
        add(f"{name}.bias", WIDTH)

    for name, rows in (("word", len(WORDS)), ("position", LONGEST), ("token_type", 2)):
        add(f"embeddings.{name}_embeddings.weight", rows, WIDTH)
    norm("embeddings.LayerNorm")
    for layer in (f"encoder.layer.{i}" for i in range(LAYERS)):
        for part in ("query", "key", "value"):
            dense(f"{layer}.attention.self.{part}", WIDTH, WIDTH)
        dense(f"{layer}.attention.output.dense", WIDTH, WIDTH)
        norm(f"{layer}.attention.output.LayerNorm")
        dense(f"{layer}.intermediate.dense", WIDE, WIDTH)
        dense(f"{layer}.output.dense", WIDTH, WIDE)
        norm(f"{layer}.output.LayerNorm")
    dense("pooler.dense", WIDTH, WIDTH)  # which no vector needs
    return found


def write_encoder(folder: Path, *, seed: int = 0, prefix: str = "", pooling: str = "mean_tokens") -> Path:
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    save_file(tensors(seed, prefix), folder / "model.safetensors")
    pools = {f"pooling_mode_{kind}": kind == pooling for kind in ("cls_token", "mean_tokens", "max_tokens")}
    files = {
        "config.json": CONFIG,
        "tokenizer.json": _tokenizer(),
        "modules.json": MODULES,
        "sentence_bert_config.json": {"max_seq_length": LONGEST},
        "1_Pooling/config.json": {"word_embedding_dimension": WIDTH, **pools, "include_prompt": True},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def _tokenizer() -> dict:
    """Words between [CLS] and [SEP], lower-cased."""
    begin, end = ({"SpecialToken": {"id": token, "type_id": 0}} for token in ("[CLS]", "[SEP]"))
    text = {"Sequence": {"id": "A", "type_id": 0}}
    special = {name: {"id": name, "ids": [WORDS.index(name)], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [begin, text, end],
            "pair": [begin, text, end, {"Sequence": {"id": "B", "type_id": 1}}, end],
            "special_tokens": special,
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(WORDS)}, "unk_token": "[UNK]"},
    }
