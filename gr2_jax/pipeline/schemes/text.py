"""Docids that documents bring along: their titles, their URLs."""

import abc
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from gr2_jax.corpus.collection import Document
from gr2_jax.docids import pack_candidates, url_text
from gr2_jax.errors import UserError
from gr2_jax.pipeline.schemes.base import Candidates, Scheme


class OwnText(Scheme):
    """One candidate per document, a text that every document must have."""

    what: ClassVar[str]

    @staticmethod
    @abc.abstractmethod
    def text(document: Document) -> str: ...

    def check_corpus(self) -> None:
        collection, _ = self.sources.corpus
        without = [document.doc_id for document in collection.documents if not self.text(document)]
        if without:
            raise UserError(
                f"document {without[0]} of {collection.name} has no {self.what} (and {len(without) - 1} more), so "
                f"{self.what}s cannot be docids: choose another of docids.schemes"
            )

    def candidates(self, rows: Int[np.ndarray, "n"], sample: int = 0) -> Candidates:
        documents = self.sources.corpus[0].documents
        texts = [self.text(documents[row]) for row in rows]
        return pack_candidates([[ids] for ids in self.sources.tokenizer.encode_batch(texts)])


class Titles(OwnText):
    """The document's title, as the paper does for NQ and Wikipedia."""

    what = "title"

    @staticmethod
    def text(document: Document) -> str:
        return document.title.strip()


class Urls(OwnText):
    """The words of the document's URL, the most telling part first (see `gr2_jax.docids.url_text`)."""

    what = "URL"

    @staticmethod
    def text(document: Document) -> str:
        return url_text(document.url)
