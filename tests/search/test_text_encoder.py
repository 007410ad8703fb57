"""A sentence encoder against a plain float64 BERT, written from the paper; what of a folder is refused."""

import json
import math

import numpy as np
import pytest
import tiny_encoder
from safetensors.numpy import save_file
from tiny_encoder import HEADS, LAYERS, LONGEST, WIDTH, WORDS, tensors, write_encoder

from gr2_jax.errors import UserError
from gr2_jax.search.text_encoder import TextEncoder, encoder_fingerprint

FILE, WORD = "model.safetensors", "embeddings.word_embeddings.weight"
TEXTS = ["Sort matrix", "dense vector solve", "root", "", "sort " * 100, "unknown words solve"]


def plain(text: str, pooling: str = "mean_tokens") -> np.ndarray:
    """The vector of one text, token by token, without padding."""
    weights = {name: value.astype(np.float64) for name, value in tensors().items()}

    def dense(name, x):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name, x):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    words = [WORDS.index(word) if word in WORDS else 1 for word in text.lower().split()][: LONGEST - 2]
    tokens = [2, *words, 3]
    table = {kind: weights[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")}
    x = np.array(
        [table["word"][token] + table["position"][i] + table["token_type"][0] for i, token in enumerate(tokens)]
    )
    x = norm("embeddings.LayerNorm", x)
    for layer in (f"encoder.layer.{i}" for i in range(LAYERS)):
        read, size = np.zeros_like(x), WIDTH // HEADS
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            query, key, value = (
                dense(f"{layer}.attention.self.{kind}", x)[:, part] for kind in ("query", "key", "value")
            )
            scores = query @ key.T / math.sqrt(size)
            shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
            read[:, part] = shares @ value
        x = norm(f"{layer}.attention.output.LayerNorm", x + dense(f"{layer}.attention.output.dense", read))
        wide = dense(f"{layer}.intermediate.dense", x)
        wide = wide * (1 + np.vectorize(math.erf)(wide / math.sqrt(2))) / 2
        x = norm(f"{layer}.output.LayerNorm", x + dense(f"{layer}.output.dense", wide))
    pooled = x[0] if pooling == "cls_token" else x.mean(0)
    return pooled / np.linalg.norm(pooled)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def encoder(folder):
    return TextEncoder.load(folder)


def test_a_text_s_vector_is_that_of_a_plain_bert(encoder):
    found = encoder.encode(TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [plain(text) for text in TEXTS], atol=2e-6)


def test_it_is_the_same_bytes_whatever_others_are_asked(encoder):
    together = encoder.encode(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_array_equal(encoder.encode([text])[0], vector)
    assert encoder.encode([]).shape == (0, WIDTH)


def test_the_first_state_and_a_shorter_length(folder, tmp_path):
    first = TextEncoder.load(write_encoder(tmp_path, pooling="cls_token"))
    np.testing.assert_allclose(first.encode(TEXTS[:2]), [plain(text, "cls_token") for text in TEXTS[:2]], atol=2e-6)
    short = TextEncoder.load(folder, length=4)
    np.testing.assert_allclose(short.encode(["sort matrix dense vector"])[0], plain("sort matrix"), atol=2e-6)


def test_a_prefix_is_read_before_each_text(encoder):
    np.testing.assert_array_equal(encoder.encode_after("sort ", ["root"]), encoder.encode(["sort root"]))


def test_weights_of_a_model_with_more_than_the_encoder(encoder, folder, tmp_path):
    inside = write_encoder(tmp_path, prefix="bert.")
    np.testing.assert_array_equal(TextEncoder.load(inside).encode(TEXTS), encoder.encode(TEXTS))


def renamed(change):
    """The weights under other names."""
    return lambda folder: save_file({change(n): v for n, v in tensors().items()}, folder / "model.safetensors")


def without_special_tokens(folder):
    """Which the library notices when the first text comes, by a panic."""
    post_processor = json.loads((folder / "tokenizer.json").read_text())["post_processor"]
    put("tokenizer.json", post_processor=post_processor | {"special_tokens": {}})(folder)


def moved_pooling(folder):
    (folder / "1_Pooling").rename(folder / "2_Pool")
    put("modules.json", content=[tiny_encoder.MODULES[0], tiny_encoder.MODULES[1] | {"path": "2_Pool"}])(folder)


@pytest.mark.parametrize(
    "change",
    [
        renamed(lambda name: name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta")),
        lambda folder: (folder / "1_Pooling/config.json").write_text('{"pooling_mode": "mean"}'),
        lambda folder: (folder / "modules.json").unlink(),
        moved_pooling,
        lambda folder: (folder / "sentence_bert_config.json").unlink(),
    ],
)
def test_other_ways_to_say_the_same(encoder, tmp_path, change):
    change(write_encoder(tmp_path))
    np.testing.assert_array_equal(TextEncoder.load(tmp_path).encode(TEXTS[:3]), encoder.encode(TEXTS[:3]))


def test_texts_are_written_small_where_the_folder_says_so(encoder, tmp_path):
    write_encoder(tmp_path)
    put("tokenizer.json", normalizer=None)(tmp_path)
    assert not np.array_equal(TextEncoder.load(tmp_path).encode(["SORT"]), encoder.encode(["sort"]))
    put("sentence_bert_config.json", do_lower_case=True)(tmp_path)
    np.testing.assert_array_equal(TextEncoder.load(tmp_path).encode(["SORT"]), encoder.encode(["sort"]))


def test_half_a_surrogate_is_read_as_an_unknown_word(encoder):
    np.testing.assert_array_equal(encoder.encode(["sort \ud800"]), encoder.encode(["sort ?"]))


def test_the_fingerprint_is_that_of_what_is_read_whole(tmp_path):
    def fingerprint():
        return encoder_fingerprint(tmp_path)

    write_encoder(tmp_path)
    first = fingerprint()
    (tmp_path / "README.md").write_text("for people")
    assert fingerprint() == first
    path = tmp_path / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    second = fingerprint()
    assert second != first
    put("1_Pooling/config.json", pooling_mode_cls_token=True)(tmp_path)
    assert fingerprint() != second


def test_an_encoder_of_the_hub_whose_modules_are_unknown_is_refused(encoder, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model, revision = tmp_path / "hub" / "models--org--name", "0123456789abcdef0123456789abcdef01234567"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(revision)
    snapshot = write_encoder(model / "snapshots" / revision)
    np.testing.assert_array_equal(TextEncoder.load("org/name").encode(TEXTS[:1]), encoder.encode(TEXTS[:1]))
    (snapshot / "modules.json").unlink()
    with pytest.raises(UserError, match=r"'org/name' is in the cache without its modules\.json"):
        TextEncoder.load("org/name")
    (model / ".no_exist" / revision).mkdir(parents=True)
    (model / ".no_exist" / revision / "modules.json").touch()  # the hub said that it has none
    assert TextEncoder.load("org/name").pooling == "mean"


def without(name):
    return lambda folder: save_file({n: v for n, v in tensors().items() if n != name}, folder / "model.safetensors")


def put(file, **changes):
    def change(folder):
        path = folder / file
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | changes if isinstance(content, dict) else changes["content"]))

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put("config.json", model_type="mpnet"), "model_type is 'mpnet', not 'bert', 'roberta' or 'xlm-roberta'"),
        (put("config.json", hidden_act="swish"), "hidden_act is 'swish'"),
        (put("config.json", num_attention_heads=3), "3 heads do not divide hidden_size 8"),
        (put("config.json", hidden_size=10**12), "hidden_size of a BERT cannot be 1000000000000"),
        (put("config.json", num_hidden_layers=True), "num_hidden_layers of a BERT cannot be True"),
        (put("config.json", num_hidden_layers=3), "encoder.layer.2.attention.self.query.weight' is missing"),
        (put("config.json", vocab_size=13), r"has shape \(12, 8\)"),
        (put("config.json", position_embedding_type="relative_key"), "positions are not absolute"),
        (put("config.json", model_type="roberta", pad_token_id=None), "pad_token_id of a BERT cannot be None"),
        (put("config.json", is_decoder=True), "is_decoder is true"),
        (
            put("tokenizer.json", model={"type": "WordLevel", "vocab": {"sort": 4}, "unk_token": "no"}),
            "that can be used",
        ),
        (
            put("modules.json", content=[tiny_encoder.MODULES[1] | {"path": "x"}]),
            "there is no .*x",
        ),
        (
            lambda folder: save_file(tensors() | {"pooler": np.ones(1), WORD: tensors()[WORD] * np.nan}, folder / FILE),
            "holds numbers that are not finite",
        ),
        (without("encoder.layer.1.output.dense.bias"), "'encoder.layer.1.output.dense.bias' is missing"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no"), "damaged or truncated"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "there is no .*tokenizer.json: where transformers"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "is not a tokenizer that can be used"),
        (without_special_tokens, "is not a tokenizer that can be used"),
        (put("sentence_bert_config.json", max_seq_length="long"), "max_seq_length is 'long'"),
        (put("1_Pooling/config.json", pooling_mode_max_tokens=True), "takes the mean or the first"),
        (put("modules.json", content=[*tiny_encoder.MODULES, {"type": "a.Dense"}]), "names a module 'Dense'"),
        (put("modules.json", content=3), "is not a list of modules"),
        (lambda folder: (folder / "config.json").write_text("[]"), "model_type is None"),
    ],
)
def test_what_a_text_encoder_cannot_be(tmp_path, change, told):
    change(write_encoder(tmp_path))
    with pytest.raises(UserError, match=told):
        TextEncoder.load(tmp_path)


def test_a_tokenizer_of_more_tokens_than_the_encoder_has(tmp_path):
    write_encoder(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["model"]["vocab"]["more"] = 50  # numbers may have holes
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="numbers its tokens up to 50, and the encoder beside it has only 12"):
        TextEncoder.load(tmp_path)


def test_fewer_tokens_than_stand_around_a_text(folder):
    with pytest.raises(UserError, match="puts more tokens around a text than the 1 that are read"):
        TextEncoder.load(folder, length=1)


def test_no_encoder_at_all(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        TextEncoder.load(tmp_path / "none")
