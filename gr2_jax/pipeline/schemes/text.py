"""Docids that documents bring along: their titles, their URLs."""

import abc
import dataclasses
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from gr2_jax.corpus.collection import Document
from gr2_jax.docids import pack_candidates, url_text
from gr2_jax.errors import UserError
from gr2_jax.experiment.scheme import Candidates, Scheme
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.base import FixedCandidates, scheme_fingerprint


class OwnText(Scheme):
    """One candidate per document, a text that every document must have."""

    what: ClassVar[str]

    @staticmethod
    @abc.abstractmethod
    def text(document: Document) -> str: ...

    def check_corpus(self, run: Run) -> None:
        without = [document.doc_id for document in run.corpus.documents if not self.text(document)]
        if without:
            raise UserError(
                f"document {without[0]} of {run.corpus.name} has no {self.what} (and {len(without) - 1} more), so "
                f"{self.what}s cannot be docids: choose another of docids.schemes"
            )

    def open(self, run: Run) -> FixedCandidates:
        def candidates(rows: Int[np.ndarray, "n"]) -> Candidates:
            texts = [self.text(run.corpus.documents[row]) for row in rows]
            return pack_candidates([[ids] for ids in run.tokenizer.encode_batch(texts)])

        return FixedCandidates(candidates, scheme_fingerprint(run, self))


@dataclasses.dataclass(frozen=True)
class Titles(OwnText):
    """The document's title, as the paper does for NQ and Wikipedia."""

    name: str = "title"
    what = "title"

    @staticmethod
    def text(document: Document) -> str:
        return document.title.strip()


@dataclasses.dataclass(frozen=True)
class Urls(OwnText):
    """The words of the document's URL, the most telling part first (see `gr2_jax.docids.url_text`)."""

    name: str = "url"
    what = "URL"

    @staticmethod
    def text(document: Document) -> str:
        return url_text(document.url)
