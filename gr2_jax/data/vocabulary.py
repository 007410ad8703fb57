"""A SentencePiece vocabulary learnt from the training text, with T5's ids: 0 pad, 1 end, 2 unknown, sentinels last."""

import dataclasses
import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gr2_jax.buckets import local_copy
from gr2_jax.data.seqio.libraries import libraries
from gr2_jax.errors import UserError, check_least
from gr2_jax.files import reading, replacing

MODEL_NAME = "spiece.model"
_SENTINEL = re.compile(r"▁?<extra_id_(0|[1-9][0-9]{0,8})>")


@dataclasses.dataclass(frozen=True)
class VocabularyConfig:
    """The vocabulary: learnt from the training text, or that of a trained model.

    size          pieces to learn
    characters    training text that they are learnt from, about; of a large collection as many of its titles
    extra_ids     sentinels after the pieces, for codes and suffixes
    model         a SentencePiece file to use instead, such as a T5's own `spiece.model` (whose model has 100 extra
                  ids); where the file has sentinels itself, as mT5's has, they are the extra ids, and `extra_ids` may
                  not be more than those
    """

    size: int = 8192
    characters: int = 2_000_000
    extra_ids: int = 256
    model: str | None = None

    def __post_init__(self):
        check_least(self, 1, "size", "characters")
        check_least(self, 0, "extra_ids")

    def content(self) -> bytes | None:
        """The bytes of `model`, checked; None if the vocabulary is to be learnt."""
        return None if self.model is None else read_vocabulary(local_copy(self.model), extra_ids=self.extra_ids)


def train_vocabulary(texts: Iterable[str], path: Path, *, size: int) -> None:
    """Writes a unigram model of at most `size` pieces, case-folded. The same texts give the same bytes."""
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=size,
            hard_vocab_limit=False,
            model_type="unigram",
            normalization_rule_name="nmt_nfkc_cf",
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            num_threads=1,
            max_sentence_length=1 << 16,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(f"no vocabulary of {size} pieces could be learnt from the training text: {error}") from error
    with replacing(path) as partial:
        partial.write_bytes(model.getvalue())


def read_vocabulary(source: Path, *, extra_ids: int = 0) -> bytes:
    """The bytes of a SentencePiece model with T5's ids, and with no sentinels or `extra_ids` of its own; raises
    `UserError` for any other file."""
    content = _content(source)
    _with_sentinels(content, source, extra_ids)
    return content


class Tokenizer:
    """Text to ids without TensorFlow; equal to `seqio_vocabulary` of the same file. Where two
    spellings of a text are equally likely, TensorFlow's operation may take the other one.

    The ids equal those of Hugging Face's T5 tokenizer, except where a text spells out special tokens. Both read
    `<extra_id_7>` as the sentinel if it is a word of its own, in lower case. Here it is plain text if attached to the
    end of a word, and text attached to its end follows without a space. `</s>`, `<pad>` and `<unk>` are always plain
    text here.
    """

    def __init__(self, path: Path, *, extra_ids: int):
        import sentencepiece

        content, self.sentinels = _with_sentinels(_content(path), path, extra_ids)
        with reading(path):
            self._model = sentencepiece.SentencePieceProcessor(model_proto=content)
        self.fingerprint = hashlib.sha256(content).hexdigest()

    sentinels: Sequence[int]
    """The ids for codes and suffixes of docids: those after the text pieces, or wherever a file has its own.
    `<extra_id_0>` is the last, as in T5."""

    @property
    def size(self) -> int:
        """Ids, sentinels included: 32100 for T5's own vocabulary, whose models have 32128 rows, the last 28 unused."""
        return self._model.GetPieceSize()

    @property
    def pieces(self) -> list[str]:
        """The pieces of all ids as SentencePiece spells them, with "▁" for a blank."""
        return self._model.IdToPiece(list(range(self.size)))

    def encode(self, text: str) -> list[int]:
        return self._model.EncodeAsIds(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return self._model.Encode(list(texts), num_threads=1)

    def decode(self, ids: Iterable[int]) -> str:
        """Readable text with special tokens written out; ids of a model's unused rows become `<unk>`."""
        pieces = [self._model.IdToPiece(int(i) if i < self.size else self._model.unk_id()) for i in ids]
        return "".join(pieces).replace("▁", " ").strip()


def _content(path: Path) -> bytes:
    """The file's bytes; `UserError` if they are not a SentencePiece model with T5's ids."""
    import sentencepiece

    try:
        content = path.read_bytes()
        model = sentencepiece.SentencePieceProcessor(model_proto=content)
    except (OSError, RuntimeError, UnicodeDecodeError) as error:  # the last where its message names a piece
        reason = error.strerror if isinstance(error, OSError) else "it is not a SentencePiece model"
        raise UserError(f"cannot use {path} as the vocabulary: {reason}") from error
    ids = {"padding": model.pad_id(), "end": model.eos_id(), "unknown": model.unk_id()}
    if ids != {"padding": 0, "end": 1, "unknown": 2}:
        found = ", ".join(f"{name} {i}" for name, i in ids.items())
        raise UserError(f"the vocabulary {path} needs T5's ids (padding 0, end 1, unknown 2) and has {found}")
    return content


def _with_sentinels(content: bytes, path: Path, extra_ids: int) -> tuple[bytes, Sequence[int]]:
    """The model and its sentinels' ids: its own where it has some, else `extra_ids` more pieces as seqio adds them, so
    that `<extra_id_7>` in a text is one piece."""
    model = _parsed(content, path)
    named = _named_sentinels(model)
    own = _own_sentinels(named)
    if own and extra_ids > len(own):
        raise UserError(
            f"the vocabulary {path} has {len(own)} sentinels of its own, <extra_id_0> to <extra_id_{len(own) - 1}>, "
            f"and extra_ids is {extra_ids}: give --vocabulary.extra_ids {len(own)}, or fewer"
        )
    if own:
        return model.SerializeToString(), own
    if taken := sorted(number for number in named if number < extra_ids):
        raise UserError(f"the vocabulary {path} has the sentinel <extra_id_{taken[0]}> and lacks <extra_id_0>")
    size = len(model.pieces)
    for i in reversed(range(extra_ids)):
        model.pieces.add(piece=f"▁<extra_id_{i}>", score=0.0, type=model.SentencePiece.USER_DEFINED)
    return model.SerializeToString(), range(size, size + extra_ids)


def _named_sentinels(model: Any) -> dict[int, int]:
    """n -> the id of the piece <extra_id_n>, of those that the model has."""
    found: dict[int, int] = {}
    for place, piece in enumerate(model.pieces):
        if match := _SENTINEL.fullmatch(piece.piece):
            found.setdefault(int(match[1]), place)
    return found


def _own_sentinels(named: dict[int, int]) -> Sequence[int]:
    """The ids of <extra_id_n-1> to <extra_id_0>, for the largest n that leaves no gap; a range where they are one."""
    count = next(number for number in range(len(named) + 1) if number not in named)
    ids = [named[number] for number in reversed(range(count))]
    whole = range(ids[0], ids[0] + count) if ids else range(0)
    return whole if ids == list(whole) else ids


def _parsed(content: bytes, path: Path) -> Any:
    from sentencepiece import sentencepiece_model_pb2

    with reading(path):
        model = sentencepiece_model_pb2.ModelProto.FromString(content)
        if any(not isinstance(piece.piece, str) for piece in model.pieces):
            raise UserError(f"{path} is damaged: a piece is not UTF-8 text")
        return model


def seqio_vocabulary(path: str, extra_ids: int):
    """The same model as a `seqio.Vocabulary`."""
    seqio = libraries().seqio
    seqio.vocabularies._load_model_internal.cache_clear()  # keyed by path: it would outlive a replaced file
    own = _own_sentinels(_named_sentinels(_parsed(_content(Path(path)), Path(path))))
    return seqio.SentencePieceVocabulary(path, extra_ids=0 if own else extra_ids)


def pad_rows(rows: Sequence[Sequence[int]], length: int, *, eos: int | None = None) -> np.ndarray:
    """[len(rows), length] int32: rows cut to `length`, with `eos` (if given) kept as the last token, 0-padded."""
    padded = np.zeros((len(rows), length), np.int32)
    for i, row in enumerate(rows):
        kept = list(row)[:length] if eos is None else [*row[: length - 1], eos]
        padded[i, : len(kept)] = kept
    return padded
