"""A row of a sentence encoder that others trained: what somebody would use who trains nothing."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.errors import SettingError, UserError, check_least
from gr2_jax.experiment import VectorRow
from gr2_jax.pipeline.rows.training import join_document_vectors, read_document_vectors, write_document_vectors
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import Stage, fingerprint_of
from gr2_jax.pipeline.vector_pieces import Join, Write, build_vectors
from gr2_jax.progress import say
from gr2_jax.search.dense import DenseIndex
from gr2_jax.search.text_encoder import TextEncoder, encoder_fingerprint


@dataclasses.dataclass(frozen=True)
class EncoderRow(VectorRow):
    """A sentence encoder with trained weights, whose vectors of a query and of the documents are compared.

    encoder            a folder, or the name of a model of the Hugging Face hub: a BERT or RoBERTa, as
                       sentence-transformers writes it
    length             tokens that it reads of a text, at most
    query_prefix, document_prefix    what it was trained to read before a query and before a document, such as "query: "
    """

    name: str = "Encoder"
    encoder: str = ""
    length: int = 256
    query_prefix: str = ""
    document_prefix: str = ""

    def __post_init__(self):
        super().__post_init__()
        check_least(self, 2, "length")
        if not self.encoder:
            raise SettingError(self, "encoder", "is empty: name a folder with a sentence encoder")

    def check(self, run: Run) -> None:
        TextEncoder.load(self.encoder, length=self.length)

    def train(self, run: Run) -> None:
        """Reads the documents, whose vectors searches map into memory, to vectors/<name>/."""
        build_vectors(run, self.name, self._stage(run), "reading texts", partial(self._opened, run))

    def _opened(self, run: Run) -> tuple[Write, Join]:
        say(f"{self.name} reads {len(run.doc_ids):,} documents")
        encoder = TextEncoder.load(self.encoder, length=self.length)

        def write(out: Path, rows: range, advance: Callable[[int], None]) -> None:
            texts = (self.document_prefix + run.corpus.documents[row].contents for row in rows)
            write_document_vectors(out, encoder.encode_in_parts(texts, advance), encoder.width)

        return write, partial(join_document_vectors, width=encoder.width)

    def vectors_fingerprint(self, run: Run) -> str:
        return self._stage(run).fingerprint

    def encode_documents(self, run: Run, rows: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n F"]:
        encoder = TextEncoder.load(self.encoder, length=self.length)
        return encoder.encode([self.document_prefix + run.corpus.documents[row].contents for row in rows.tolist()])

    def document_vectors(self, run: Run) -> Float[np.ndarray, "N F"]:
        stage = self._stage(run)
        return read_document_vectors(run, self.name, stage.directory if stage.done else None)

    def _stage(self, run: Run) -> Stage:
        made_of = [run.examples_fingerprint, self.length, self.document_prefix, encoder_fingerprint(self.encoder)]
        return Stage(run.paths.vectors(self.name), fingerprint_of(made_of))

    def fingerprint(self, run: Run) -> str:
        return fingerprint_of([self._stage(run).fingerprint, self.query_prefix])

    def open(self, run: Run, step: int | None = None) -> DenseIndex:
        if step is not None:
            raise UserError(f"{self.name} is not trained and has no checkpoints: leave --step out")
        vectors, encoder = self.document_vectors(run), TextEncoder.load(self.encoder, length=self.length)
        if vectors.shape[1] != encoder.width:
            raise UserError(f"{self._stage(run).directory} is damaged: its vectors are not of {encoder.width} numbers")

        def encode(texts: Sequence[str], batch: int) -> Float[np.ndarray, "Q D"]:
            return encoder.encode_after(self.query_prefix, texts)  # which knows how many it reads at once

        return DenseIndex(doc_ids=run.doc_ids, vectors=vectors, encode=encode, model_bytes=encoder.model_bytes)
