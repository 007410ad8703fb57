"""Vectors of texts by a sentence encoder that others trained: a BERT or RoBERTa in a Hugging Face directory."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.decoding.devices import on_each_device
from gr2_jax.errors import UserError, install
from gr2_jax.files import read_json, reading
from gr2_jax.models.bert import Bert
from gr2_jax.models.huggingface.bert import load_bert
from gr2_jax.models.huggingface.hub import SENTENCE_COMPANIONS, local_directory
from gr2_jax.progress import progress

Pooling = Literal["mean", "cls"]

_SHORTEST = 16  # tokens that the shortest texts are padded to; others to a power of two
_TOKENS = 4096  # that a device reads at once


@dataclasses.dataclass(frozen=True, eq=False)
class TextEncoder:
    """`encode(texts)` -> vectors of length 1. `TextEncoder.load` reads one.

    tokenize    texts -> the ids of each, at most `length`, with the tokens that begin and end a text
    pooling     what of a text's states is its vector: their mean, or the first
    """

    model: Bert
    params: dict
    tokenize: Callable[[Sequence[str]], list[list[int]]]
    pooling: Pooling
    length: int

    @classmethod
    def load(cls, source: str | os.PathLike, *, length: int = 256) -> "TextEncoder":
        """Reads a folder, or a model of the Hugging Face hub, as sentence-transformers writes them; a plain BERT's
        states are averaged. Texts are cut at `length` tokens, or at the encoder's own limit.

        Raises:
            UserError: There is no such encoder, it is damaged, or it does something that this one cannot.
        """
        folder = encoder_directory(source)
        config, params = load_bert(folder)
        length = min(length, config.longest, _longest(folder))
        return cls(Bert(config), params, _tokenizer(folder, length, config.vocab_size), _pooling(folder), length)

    @property
    def width(self) -> int:
        """D, of a vector."""
        return self.model.config.hidden_size

    @property
    def model_bytes(self) -> int:
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self.params))

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "n D"]:
        """The texts' vectors, on all devices of this process; a text's is the same bytes whatever others are asked."""
        texts = list(texts)
        vectors = np.zeros((len(texts), self.width), np.float32)
        if not texts:
            return vectors
        with progress(len(texts), "reading texts") as bar:
            for places, tokens in self._batches(self.tokenize(texts)):
                found = np.asarray(self._read(self._device_params, tokens, tokens >= 0))
                vectors[places] = found[: len(places)]
                bar.advance(len(places))
        return vectors

    def encode_after(self, prefix: str, texts: Sequence[str]) -> Float[np.ndarray, "n D"]:
        """Of the texts, each after the same words."""
        return self.encode([prefix + text for text in texts])

    def _batches(self, ids: list[list[int]]) -> Iterator[tuple[list[int], Int[np.ndarray, "B T"]]]:
        """Texts of about one length, by their places; their tokens, -1 where there is none."""
        widths = [_width(len(each), self.length) for each in ids]
        for width in sorted(set(widths)):
            places = [i for i, own in enumerate(widths) if own == width]
            size = jax.local_device_count() * max(1, _TOKENS // width)
            for start in range(0, len(places), size):
                part = places[start : start + size]
                tokens = np.full((size, width), -1, np.int32)
                for row, place in enumerate(part):
                    tokens[row, : len(ids[place])] = ids[place]
                yield part, tokens

    @cached_property
    def _device_params(self) -> Any:
        return jax.tree.map(jnp.asarray, self.params)

    @cached_property
    def _read(self) -> Callable[..., Array]:
        def read(params: Any, tokens: Int[Array, "B T"], mask: Bool[Array, "B T"]) -> Float[Array, "B D"]:
            mask = mask.at[:, 0].set(True)  # a row without tokens fills the batch, and must not divide by 0
            states = self.model.apply({"params": params}, jnp.maximum(tokens, 0), mask)
            if self.pooling == "cls":
                pooled = states[:, 0]
            else:
                pooled = jnp.einsum("btd,bt->bd", states, mask.astype(states.dtype))
            return pooled / jnp.linalg.norm(pooled, axis=-1, keepdims=True)

        return on_each_device(read, (False, True, True))


def encoder_directory(source: str | os.PathLike) -> Path:
    """The folder of an encoder; that of a hub's name is in the cache, where it is downloaded to once."""
    return local_directory(source, SENTENCE_COMPANIONS)


def _width(tokens: int, longest: int) -> int:
    width = _SHORTEST
    while width < tokens:
        width *= 2
    return min(width, longest)


def _tokenizer(folder: Path, length: int, vocab_size: int) -> Callable[[Sequence[str]], list[list[int]]]:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise UserError(f"a text encoder's tokenizer.json needs tokenizers: {install('huggingface')}") from error

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UserError(
            f"there is no {path}: where transformers is installed, AutoTokenizer.from_pretrained('{folder}')"
            ".save_pretrained('NEW_DIRECTORY') writes it"
        )
    with reading(path):
        try:
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises Exception itself
            raise UserError(f"{path} is not a tokenizer: {error}") from error
    if tokenizer.get_vocab_size() > vocab_size:
        raise UserError(
            f"{path} has {tokenizer.get_vocab_size():,} tokens, and the encoder beside it only {vocab_size:,}"
        )
    tokenizer.enable_truncation(length)
    tokenizer.no_padding()
    return lambda texts: [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def _longest(folder: Path) -> int:
    """What sentence-transformers cuts texts at."""
    path = folder / "sentence_bert_config.json"
    found = _settings(path).get("max_seq_length") if path.is_file() else None
    if found is None:
        return 1 << 30
    if type(found) is not int or found < 2:
        raise UserError(f"{path}: max_seq_length is {found!r}, not a number of at least 2")
    return found


def _pooling(folder: Path) -> Pooling:
    for module in _modules(folder):
        if module not in ("Transformer", "Pooling", "Normalize"):
            raise UserError(f"{folder / 'modules.json'} names a module {module!r}, which a text encoder here lacks")
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return "mean"
    asked = {name.removeprefix("pooling_mode_") for name, value in _settings(path).items() if value is True}
    if asked == {"cls_token"}:
        return "cls"
    if asked != {"mean_tokens"}:
        raise UserError(f"{path} asks for {sorted(asked)}: a text encoder here takes the mean or the first state")
    return "mean"


def _modules(folder: Path) -> list[str]:
    path = folder / "modules.json"
    if not path.is_file():
        return []
    modules = read_json(path)
    if not isinstance(modules, list) or not all(isinstance(each, dict) for each in modules):
        raise UserError(f"{path} is not a list of modules")
    return [str(each.get("type")).rpartition(".")[2] for each in modules]


def _settings(path: Path) -> dict[str, Any]:
    settings = read_json(path)
    if not isinstance(settings, dict):
        raise UserError(f"{path} holds no settings")
    return settings
