"""Vectors of texts by a sentence encoder that others trained: a BERT or RoBERTa in a Hugging Face directory."""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.decoding.devices import on_each_device
from gr2_jax.errors import Preempted, UserError, install
from gr2_jax.files import read_json, reading
from gr2_jax.models.bert import Bert
from gr2_jax.models.huggingface.bert import load_bert
from gr2_jax.models.huggingface.config import CONFIG
from gr2_jax.models.huggingface.hub import MODULES, sentence_encoder_directory
from gr2_jax.models.huggingface.reading import INDEX, WEIGHTS, read_index
from gr2_jax.progress import progress

Pooling = Literal["mean", "cls"]

_SHORTEST = 16  # tokens that the shortest texts are padded to; others to a power of two
_AT_ONCE = {"cpu": 256}  # tokens that a device reads at once: a lone query waits for no more
_MANY = 16_384  # of them on an accelerator
_SLICE, _SLICE_OF_TOKENS = 8192, 512  # texts whose tokens are in memory at a time, and that are tokenised together
_TOKENIZER, _CASES = "tokenizer.json", "do_lower_case"
_LIMITS = ("sentence_bert_config.json", "sentence_roberta_config.json", "sentence_xlm-roberta_config.json")


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
        folder = sentence_encoder_directory(source)
        pooling, limits = _pooling(folder), _limits(folder)
        config, params = load_bert(folder)
        length = min(length, config.longest, limits.get("max_seq_length") or length)
        tokenize = _tokenizer(folder, length, config.vocab_size, lower=limits.get(_CASES) is True)
        return cls(Bert(config), params, tokenize, pooling, length)

    @property
    def width(self) -> int:
        """D, of a vector."""
        return self.model.config.hidden_size

    @property
    def model_bytes(self) -> int:
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self.params))

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "n D"]:
        """The texts' vectors, on all devices of this process; a text's is the same bytes whatever others are asked."""
        vectors, start = np.zeros((len(texts), self.width), np.float32), 0
        with progress(len(texts), "reading texts") as bar:
            for part in self.encode_in_parts(texts, bar.advance):
                vectors[start : start + len(part)] = part
                start += len(part)
        return vectors

    def encode_in_parts(
        self, texts: Iterable[str], advance: Callable[[int], None]
    ) -> Iterator[Float[np.ndarray, "n D"]]:
        """The vectors of texts, in their order, some thousands at a time: no more texts are held. `advance` is called
        with how many more are done."""
        passing = iter(texts)
        while some := list(islice(passing, _SLICE)):
            vectors = np.zeros((len(some), self.width), np.float32)
            for places, tokens in self._batches(self._ids(some)):
                found = np.asarray(self._read(self._device_params, tokens, tokens >= 0))
                vectors[places] = found[: len(places)]
                advance(len(places))
            yield vectors

    def _ids(self, texts: list[str]) -> list[Int[np.ndarray, "T"]]:
        """Of a few texts at a time: the tokenizer keeps what it cuts off."""
        parts = (
            self.tokenize(texts[start : start + _SLICE_OF_TOKENS]) for start in range(0, len(texts), _SLICE_OF_TOKENS)
        )
        return [np.array(ids, np.int32) for part in parts for ids in part]

    def encode_after(self, prefix: str, texts: Sequence[str]) -> Float[np.ndarray, "n D"]:
        """Of the texts, each after the same words."""
        return self.encode([prefix + text for text in texts])

    def _batches(self, ids: list[Int[np.ndarray, "T"]]) -> Iterator[tuple[list[int], Int[np.ndarray, "B T"]]]:
        """Texts of about one length, by their places; their tokens, -1 where there is none."""
        widths, most = [_width(len(each), self.length) for each in ids], _AT_ONCE.get(jax.default_backend(), _MANY)
        for width in sorted(set(widths)):
            places = [i for i, own in enumerate(widths) if own == width]
            size = jax.local_device_count() * max(1, most // width)
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


def encoder_fingerprint(source: str | os.PathLike) -> str:
    """Of the files that `TextEncoder.load` reads, and of no others."""
    folder = sentence_encoder_directory(source)
    weights = [INDEX, *read_index(folder / INDEX)] if not (folder / WEIGHTS).is_file() else [WEIGHTS]
    named = [CONFIG, _TOKENIZER, MODULES, *_LIMITS, f"{_pooling_folder(folder)}/{CONFIG}", *weights]
    digests = [(name, _digest(folder / name, *_stamp(folder / name))) for name in named if (folder / name).is_file()]
    return hashlib.blake2b(repr(digests).encode(), digest_size=16).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=256)
def _digest(path: Path, size: int, changed: int) -> str:
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _width(tokens: int, longest: int) -> int:
    width = _SHORTEST
    while width < tokens:
        width *= 2
    return min(width, longest)


def _tokenizer(
    folder: Path, length: int, vocab_size: int, *, lower: bool
) -> Callable[[Sequence[str]], list[list[int]]]:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise UserError(f"a text encoder's {_TOKENIZER} needs tokenizers: {install('huggingface')}") from error

    path = folder / _TOKENIZER
    if not path.is_file():
        raise UserError(
            f"there is no {path}: where transformers is installed, AutoTokenizer.from_pretrained('{folder}')"
            ".save_pretrained('NEW_DIRECTORY') writes it"
        )
    with reading(path):
        content = path.read_text(encoding="utf-8")

    def tokenize(texts: Sequence[str]) -> list[list[int]]:
        # half a surrogate is no text
        texts = [text.encode("utf-8", "replace").decode() for text in texts]
        return [
            encoding.ids for encoding in tokenizer.encode_batch([text.lower() for text in texts] if lower else texts)
        ]

    try:
        tokenizer = Tokenizer.from_str(content)
        tokenizer.enable_truncation(length)
        tokenizer.no_padding()
        tried = tokenize(["", _UNKNOWN, f"{_UNKNOWN} " * length])
    except (KeyboardInterrupt, SystemExit, Preempted):
        raise
    except BaseException as error:  # the library raises Exception itself, and its panics are no Exceptions
        raise UserError(f"{path} is not a tokenizer that can be used: {error}") from error
    ids = tokenizer.get_vocab(with_added_tokens=True).values()
    if max(ids, default=0) >= vocab_size:
        raise UserError(
            f"{path} numbers its tokens up to {max(ids):,}, and the encoder beside it has only {vocab_size:,}"
        )
    if any(len(each) > length for each in tried):
        raise UserError(f"{path} puts more tokens around a text than the {length} that are read")
    return tokenize


_UNKNOWN = "\U000f0000"  # of a private area: no vocabulary has it


def _limits(folder: Path) -> dict[str, Any]:
    """What sentence-transformers cuts texts at, and whether it writes them small first."""
    path = next((folder / name for name in _LIMITS if (folder / name).is_file()), None)
    if path is None:
        return {}
    settings = _settings(path)
    longest = settings.get("max_seq_length")
    if longest is not None and (type(longest) is not int or longest < 2):
        raise UserError(f"{path}: max_seq_length is {longest!r}, not a number of at least 2")
    return settings


def _pooling(folder: Path) -> Pooling:
    """How a text's states become its vector: as the folder's modules say; where there are none, by their mean."""
    for module in _modules(folder):
        if _kind(module) not in ("Transformer", "Pooling", "Normalize"):
            raise UserError(f"{folder / MODULES} names a module {_kind(module)!r}, which a text encoder here lacks")
    path = folder / _pooling_folder(folder) / CONFIG
    if not path.is_file():
        if any(_kind(module) == "Pooling" for module in _modules(folder)):
            raise UserError(f"there is no {path}, although {MODULES} names a pooling")
        return "mean"
    settings = _settings(path)
    before = "pooling_mode_"
    asked = {name.removeprefix(before) for name, value in settings.items() if name.startswith(before) and value is True}
    if isinstance(mode := settings.get("pooling_mode"), str):
        asked = {{"mean": "mean_tokens", "cls": "cls_token"}.get(mode, mode)}
    if asked == {"cls_token"}:
        return "cls"
    if asked != {"mean_tokens"}:
        raise UserError(f"{path} asks for {sorted(asked)}: a text encoder here takes the mean or the first state")
    return "mean"


def _pooling_folder(folder: Path) -> str:
    named = next((module.get("path") for module in _modules(folder) if _kind(module) == "Pooling"), None)
    return named if isinstance(named, str) and Path(named).name == named else "1_Pooling"


def _kind(module: dict[str, Any]) -> str:
    return str(module.get("type")).rpartition(".")[2]


def _modules(folder: Path) -> list[dict[str, Any]]:
    path = folder / MODULES
    if not path.is_file():
        return []
    modules = read_json(path)
    if not isinstance(modules, list) or not all(isinstance(each, dict) for each in modules):
        raise UserError(f"{path} is not a list of modules")
    return modules


def _settings(path: Path) -> dict[str, Any]:
    settings = read_json(path)
    if not isinstance(settings, dict):
        raise UserError(f"{path} holds no settings")
    return settings
