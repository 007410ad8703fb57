"""A SentencePiece vocabulary learnt from the training text, with T5's ids: 0 pad, 1 end, 2 unknown, sentinels last."""

import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from gr2_jax.data.lazy import libraries
from gr2_jax.errors import UserError

MODEL_NAME = "spiece.model"


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
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(model.getvalue())
    os.replace(partial, path)


def read_vocabulary(source: Path) -> bytes:
    """A file that holds a SentencePiece model with T5's ids; raises `UserError` where it does not."""
    import sentencepiece

    try:
        content = source.read_bytes()
        model = sentencepiece.SentencePieceProcessor(model_proto=content)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no SentencePiece model"
        raise UserError(f"cannot use {source} as the vocabulary: {reason}") from error
    ids = {"padding": model.pad_id(), "end": model.eos_id(), "unknown": model.unk_id()}
    if ids != {"padding": 0, "end": 1, "unknown": 2}:
        found = ", ".join(f"{name} {i}" for name, i in ids.items())
        raise UserError(f"the vocabulary {source} is not T5's kind, whose ids are padding 0, end 1, unknown 2: {found}")
    return content


class Tokenizer:
    """Text to ids without TensorFlow; equal to `seqio_vocabulary` of the same file.

    The ids are also those of Hugging Face's T5 tokenizer, but where a text spells out special tokens. `<extra_id_7>`
    is the sentinel to both where it is a word of its own, in lower case; glued to the end of a word it is plain text
    here, and what is glued to its end goes on without a space. `</s>`, `<pad>` and `<unk>` are always plain text here.
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
    def sentinels(self) -> range:
        """The ids past the text's pieces: codes and suffixes of docids. T5 counts them from the end, `<extra_id_0>`."""
        return range(self.size - self.extra_ids, self.size)

    def encode(self, text: str) -> list[int]:
        return self._model.EncodeAsIds(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return self._model.Encode(list(texts), num_threads=1)

    def decode(self, ids: Iterable[int]) -> str:
        """Readable text; special tokens are written out, and ids that only a model's unused rows have as `<unk>`."""
        pieces = [self._model.IdToPiece(int(i) if i < self.size else self._model.unk_id()) for i in ids]
        return "".join(pieces).replace("▁", " ").strip()


def _with_sentinels(path: Path, extra_ids: int) -> bytes:
    """The model with `extra_ids` more pieces as seqio adds them, so that a text's `<extra_id_7>` is one."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
    user_defined = sentencepiece_model_pb2.ModelProto.SentencePiece.USER_DEFINED
    for i in reversed(range(extra_ids)):
        model.pieces.add(piece=f"▁<extra_id_{i}>", score=0.0, type=user_defined)
    return model.SerializeToString()


def seqio_vocabulary(path: str, extra_ids: int):
    """The same model as a `seqio.Vocabulary`."""
    seqio = libraries().seqio
    seqio.vocabularies._load_model_internal.cache_clear()  # keyed by path: it would outlive a vocabulary made anew
    return seqio.SentencePieceVocabulary(path, extra_ids=extra_ids)


def pad_rows(rows: Sequence[Sequence[int]], length: int, *, eos: int | None = None) -> np.ndarray:
    """[len(rows), length] int32: rows cut to `length`, with `eos` kept as the last token where given, 0-padded."""
    padded = np.zeros((len(rows), length), np.int32)
    for i, row in enumerate(rows):
        kept = list(row)[:length] if eos is None else [*row[: length - 1], eos]
        padded[i, : len(kept)] = kept
    return padded
