"""A SentencePiece vocabulary learnt from the training text, with T5's ids: 0 pad, 1 end, 2 unknown, sentinels last."""

import dataclasses
import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from gr2_jax.data.seqio.libraries import libraries
from gr2_jax.errors import UserError, check_least
from gr2_jax.files import replacing

MODEL_NAME = "spiece.model"


@dataclasses.dataclass(frozen=True)
class VocabularyConfig:
    """`size` pieces learnt from at most `characters` of training text, then `extra_ids` for codes and suffixes.

    `model` is a SentencePiece file to use instead, such as a T5's own `spiece.model` (which has 100 extra ids).
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
        return None if self.model is None else read_vocabulary(Path(self.model))


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


def read_vocabulary(source: Path) -> bytes:
    """The bytes of a SentencePiece model with T5's ids; raises `UserError` for any other file."""
    import sentencepiece

    try:
        content = source.read_bytes()
        model = sentencepiece.SentencePieceProcessor(model_proto=content)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a SentencePiece model"
        raise UserError(f"cannot use {source} as the vocabulary: {reason}") from error
    ids = {"padding": model.pad_id(), "end": model.eos_id(), "unknown": model.unk_id()}
    if ids != {"padding": 0, "end": 1, "unknown": 2}:
        found = ", ".join(f"{name} {i}" for name, i in ids.items())
        raise UserError(f"the vocabulary {source} needs T5's ids (padding 0, end 1, unknown 2) and has {found}")
    return content


class Tokenizer:
    """Text to ids without TensorFlow; equal to `seqio_vocabulary` of the same file.

    The ids equal those of Hugging Face's T5 tokenizer, except where a text spells out special tokens. Both read
    `<extra_id_7>` as the sentinel if it is a word of its own, in lower case. Here it is plain text if attached to the
    end of a word, and text attached to its end follows without a space. `</s>`, `<pad>` and `<unk>` are always plain
    text here.
    """

    def __init__(self, path: Path, *, extra_ids: int):
        import sentencepiece

        content = _with_sentinels(path, extra_ids)
        self._model = sentencepiece.SentencePieceProcessor(model_proto=content)
        self.extra_ids = extra_ids
        self.fingerprint = hashlib.sha256(content).hexdigest()

    @property
    def size(self) -> int:
        """Ids, sentinels included: 32100 for T5's own vocabulary, whose models have 32128 rows, the last 28 unused."""
        return self._model.GetPieceSize()

    @property
    def pieces(self) -> list[str]:
        """The pieces of all ids as SentencePiece spells them, with "▁" for a blank."""
        return self._model.IdToPiece(list(range(self.size)))

    @property
    def sentinels(self) -> range:
        """The ids after the text pieces, for codes and suffixes of docids. `<extra_id_0>` is the last, as in T5."""
        return range(self.size - self.extra_ids, self.size)

    def encode(self, text: str) -> list[int]:
        return self._model.EncodeAsIds(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return self._model.Encode(list(texts), num_threads=1)

    def decode(self, ids: Iterable[int]) -> str:
        """Readable text with special tokens written out; ids of a model's unused rows become `<unk>`."""
        pieces = [self._model.IdToPiece(int(i) if i < self.size else self._model.unk_id()) for i in ids]
        return "".join(pieces).replace("▁", " ").strip()


def _with_sentinels(path: Path, extra_ids: int) -> bytes:
    """The model with `extra_ids` more pieces as seqio adds them, so that `<extra_id_7>` in a text is one piece."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
    user_defined = sentencepiece_model_pb2.ModelProto.SentencePiece.USER_DEFINED
    for i in reversed(range(extra_ids)):
        model.pieces.add(piece=f"▁<extra_id_{i}>", score=0.0, type=user_defined)
    return model.SerializeToString()


def seqio_vocabulary(path: str, extra_ids: int):
    """The same model as a `seqio.Vocabulary`."""
    seqio = libraries().seqio
    seqio.vocabularies._load_model_internal.cache_clear()  # keyed by path: it would outlive a replaced file
    return seqio.SentencePieceVocabulary(path, extra_ids=extra_ids)


def pad_rows(rows: Sequence[Sequence[int]], length: int, *, eos: int | None = None) -> np.ndarray:
    """[len(rows), length] int32: rows cut to `length`, with `eos` (if given) kept as the last token, 0-padded."""
    padded = np.zeros((len(rows), length), np.int32)
    for i, row in enumerate(rows):
        kept = list(row)[:length] if eos is None else [*row[: length - 1], eos]
        padded[i, : len(kept)] = kept
    return padded
