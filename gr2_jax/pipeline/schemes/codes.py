"""Docids of codes, written in sentinels: clusters of the documents' LSA vectors, or random numbers."""

import abc
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from gr2_jax.config import Experiment
from gr2_jax.docids import hierarchical_codes, product_codes, random_numbers, residual_codes
from gr2_jax.errors import UserError
from gr2_jax.pipeline.schemes.base import SUFFIX_DIGITS, Candidates, Scheme
from gr2_jax.pipeline.semantics import SENTINEL_VECTORS, load_semantics


class CodeScheme(Scheme):
    """One candidate per document: a code per level. Code c of level l is the sentinel number l * base + c."""

    reads_as_text = False

    @abc.abstractmethod
    def codes(self) -> Int[np.ndarray, "N L"]:
        """Codes from 0, -1 after the last level of a document."""

    @abc.abstractmethod
    def base(self) -> int:
        """Different codes per level."""

    levels_differ: ClassVar[bool] = True
    """Whether the same number at another level is another token."""

    @cached_property
    def tokens(self) -> Int[np.ndarray, "N L"]:
        codes, base = self.codes(), self.base()
        levels = codes.shape[1]
        if levels > self.making.experiment.docids.max_length:
            raise UserError(f"these docids have {levels} codes: --docids.max_length must be {levels} or more")
        ids = self._sentinels(levels if self.levels_differ else 1, base)
        written = ids[np.arange(levels) if self.levels_differ else np.zeros(levels, int), codes]
        return np.where(codes >= 0, written, 0)

    def candidates(self, rows: Int[np.ndarray, "n"], sample: int = 0) -> Candidates:
        return self.tokens[rows][:, None]

    def _sentinels(self, levels: int, base: int) -> Int[np.ndarray, "L C"]:
        sentinels, needed = self.tokenizer.sentinels, levels * base + SUFFIX_DIGITS
        if needed > len(sentinels):
            raise UserError(
                f"{levels} levels of {base} codes need --vocabulary.extra_ids of {needed} or more, not {len(sentinels)}"
            )
        return sentinels.start + np.arange(levels * base, dtype=np.int32).reshape(levels, base)

    def _vectors(self) -> np.ndarray:
        return load_semantics(self.making.workdir).document_vectors


class _Quantised(CodeScheme):
    """Codes whose centroids are vectors of the documents' own space: the retrieval model may start from them."""

    @classmethod
    def settings(cls, experiment: Experiment) -> list:
        return [experiment.docids.codebooks, experiment.docids.codes]

    def base(self) -> int:
        return self.making.experiment.docids.codes

    def codes(self) -> Int[np.ndarray, "N L"]:
        found = self.quantise(self._vectors())
        ids = self._sentinels(*found.centroids.shape[:2])
        np.savez(self.making.out / SENTINEL_VECTORS, ids=ids.ravel(), vectors=found.centroids.reshape(ids.size, -1))
        return found.codes

    @abc.abstractmethod
    def quantise(self, vectors: np.ndarray): ...


class ResidualCodes(_Quantised):
    """Residual k-means (RIPOR, Zeng et al. 2024): each code says what those before it left unsaid."""

    def quantise(self, vectors: np.ndarray):
        docids = self.making.experiment.docids
        return residual_codes(vectors, levels=docids.codebooks, codes=docids.codes, seed=self.making.experiment.seed)


class ProductCodes(_Quantised):
    """Product quantisation (Ultron-PQ, Zhou et al. 2022): each code says one part of the vector."""

    def quantise(self, vectors: np.ndarray):
        docids = self.making.experiment.docids
        return product_codes(vectors, parts=docids.codebooks, codes=docids.codes, seed=self.making.experiment.seed)


class HierarchicalCodes(CodeScheme):
    """Hierarchical k-means (DSI-Sem, Tay et al. 2022; NCI, Wang et al. 2022): unique from the start."""

    @classmethod
    def settings(cls, experiment: Experiment) -> list:
        return [experiment.docids.branches, experiment.docids.leaf]

    def base(self) -> int:
        return self.making.experiment.docids.branches

    def codes(self) -> Int[np.ndarray, "N L"]:
        docids = self.making.experiment.docids
        return hierarchical_codes(
            self._vectors(), branches=docids.branches, leaf=docids.leaf, seed=self.making.experiment.seed
        )


class RandomNumbers(CodeScheme):
    """A random number per document (DSI-Num, Tay et al. 2022): unique, and says nothing of the document."""

    levels_differ = False

    def base(self) -> int:
        return 10

    def codes(self) -> Int[np.ndarray, "N L"]:
        return random_numbers(len(self.corpus[0].documents), seed=self.making.experiment.seed)
