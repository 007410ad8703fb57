"""A SentencePiece vocabulary learnt from the training text, with T5's ids: 0 pad, 1 end, 2 unknown, sentinels last."""

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


class Tokenizer:
    """Text to ids without TensorFlow; equal to `seqio_vocabulary` of the same file."""

    def __init__(self, path: Path, *, extra_ids: int):
        import sentencepiece

        self._model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        self.extra_ids = extra_ids

    @property
    def size(self) -> int:
        return self._model.GetPieceSize() + self.extra_ids

    @property
    def sentinels(self) -> range:
        """The ids past the text's pieces: codes and suffixes of docids."""
        return range(self._model.GetPieceSize(), self.size)

    def encode(self, text: str) -> list[int]:
        return self._model.EncodeAsIds(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return self._model.Encode(list(texts), num_threads=1)

    def decode(self, ids: Iterable[int]) -> str:
        """Readable text; an extra id is written `<n>`, counted from the first."""
        pieces, first_extra = [], self.sentinels.start
        for i in ids:
            pieces.append(f"▁<{i - first_extra}>" if i >= first_extra else self._model.IdToPiece(int(i)))
        return "".join(pieces).replace("▁", " ").strip()


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
