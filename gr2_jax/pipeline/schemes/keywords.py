"""Docids of a document's telling words."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Int

from gr2_jax.corpus.scripts import blankless
from gr2_jax.docids.keywords import DocumentFrequencies, keyword_candidates, pieces_of, tf_idf, words_of
from gr2_jax.errors import SettingError, check_least
from gr2_jax.experiment.scheme import Candidates, Scheme
from gr2_jax.models import EOS_ID, PAD_ID, UNK_ID
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.base import FixedCandidates, scheme_fingerprint

_SLICE = 4096  # documents whose words are counted at a time


@dataclasses.dataclass(frozen=True)
class Keywords(Scheme):
    """A document's most telling words, its title's first: at least some, and more until no document has the same.

    least     words at least
    most      words at most
    common    share of the documents above which a word tells nothing
    """

    name: str = "keywords"
    least: int = 3
    most: int = 8
    common: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        check_least(self, 1, "least")
        if self.most < self.least:
            raise SettingError(self, "most", f"is {self.most}: it must be {self.least} (least) or more")

    def open(self, run: Run) -> FixedCandidates:
        tokens, documents = run.document_tokens, run.corpus.documents
        special = [PAD_ID, EOS_ID, UNK_ID, *run.tokenizer.sentinels]
        pieces = pieces_of(run.tokenizer.pieces, special=special, blankless=blankless())

        @functools.cache
        def frequencies() -> DocumentFrequencies:
            counted = DocumentFrequencies()
            for start in range(0, len(tokens), _SLICE):
                block = tokens[start : start + _SLICE]
                counted.add(words_of(block, pieces), len(block))
            return counted

        def candidates(rows: Int[np.ndarray, "n"]) -> Candidates:
            texts = tokens[rows]
            words = words_of(texts, pieces)
            weights = tf_idf(words, frequencies(), common=self.common)
            titles = run.tokenizer.encode_batch([documents[row].title for row in rows])
            leading = np.array([len(title) for title in titles])
            lengths = {"least": self.least, "most": self.most, "max_length": run.experiment.docids.max_length}
            return keyword_candidates(texts, words, weights, leading, **lengths)

        return FixedCandidates(candidates, scheme_fingerprint(run, self))
