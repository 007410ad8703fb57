"""Docids of codes, written in sentinels: clusters of the documents' LSA vectors, or random numbers."""

import abc
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from gr2_jax.config import Experiment
from gr2_jax.docids import Codes, hierarchical_codes, product_codes, random_numbers, residual_codes
from gr2_jax.errors import UserError
from gr2_jax.pipeline.schemes.base import SUFFIX_DIGITS, Candidates, Scheme
from gr2_jax.pipeline.semantics import SENTINEL_VECTORS


class CodeScheme(Scheme):
    """One candidate per document: a code per level. Code c of level l is the sentinel number l * base + c."""

    reads_as_text = False
    levels_differ: ClassVar[bool] = True
    """Whether the same number at another level is another token."""

    @abc.abstractmethod
    def codes(self) -> Int[np.ndarray, "N L"]:
        """Codes from 0, -1 after the last level of a document."""

    @abc.abstractmethod
    def base(self) -> int:
        """Different codes per level."""

    @cached_property
    def tokens(self) -> Int[np.ndarray, "N L"]:
        codes = self.codes()
        levels = codes.shape[1]
        _check_room(self.experiment, levels, self.base() * (levels if self.levels_differ else 1))
        ids = self.sentinels(levels if self.levels_differ else 1)
        written = ids[np.arange(levels) if self.levels_differ else np.zeros(levels, int), codes]
        return np.where(codes >= 0, written, 0)

    def candidates(self, rows: Int[np.ndarray, "n"], sample: int = 0) -> Candidates:
        return self.tokens[rows][:, None]

    def sentinels(self, levels: int) -> Int[np.ndarray, "L C"]:
        base = self.base()
        return self.sources.tokenizer.sentinels.start + np.arange(levels * base, dtype=np.int32).reshape(levels, base)


class Quantised(CodeScheme):
    """Codes whose centroids are vectors of the documents' own space: the retrieval model may start from them."""

    @classmethod
    def settings(cls, experiment: Experiment) -> list:
        return [experiment.docids.codebooks, experiment.docids.codes]

    @classmethod
    def check(cls, experiment: Experiment) -> None:
        _check_room(experiment, experiment.docids.codebooks, experiment.docids.codebooks * experiment.docids.codes)

    def check_corpus(self) -> None:
        documents, features = self.sources.semantics.document_vectors.shape
        if self.base() > documents:
            raise UserError(f"--docids.codes is {self.base()}, and there are only {documents} documents to learn from")
        if self.experiment.docids.codebooks > features:
            raise UserError(
                f"--docids.codebooks is {self.experiment.docids.codebooks}, and documents have vectors of {features}"
            )

    def base(self) -> int:
        return self.experiment.docids.codes

    def codes(self) -> Int[np.ndarray, "N L"]:
        return self.quantised.codes

    @cached_property
    @abc.abstractmethod
    def quantised(self) -> Codes: ...

    def leave(self, out: Path) -> None:
        centroids = self.quantised.centroids
        ids = self.sentinels(len(centroids))
        np.savez(out / SENTINEL_VECTORS, ids=ids.ravel(), vectors=centroids.reshape(ids.size, -1))


class ResidualCodes(Quantised):
    """Residual k-means (RIPOR, Zeng et al. 2024): each code says what those before it left unsaid."""

    @cached_property
    def quantised(self) -> Codes:
        docids, vectors = self.experiment.docids, self.sources.semantics.document_vectors
        return residual_codes(vectors, levels=docids.codebooks, codes=docids.codes, seed=self.experiment.seed)


class ProductCodes(Quantised):
    """Product quantisation (Ultron-PQ, Zhou et al. 2022): each code says one part of the vector."""

    @cached_property
    def quantised(self) -> Codes:
        docids, vectors = self.experiment.docids, self.sources.semantics.document_vectors
        return product_codes(vectors, parts=docids.codebooks, codes=docids.codes, seed=self.experiment.seed)


class HierarchicalCodes(CodeScheme):
    """Hierarchical k-means (DSI-Sem, Tay et al. 2022; NCI, Wang et al. 2022): unique from the start."""

    @classmethod
    def settings(cls, experiment: Experiment) -> list:
        return [experiment.docids.branches, experiment.docids.leaf]

    def base(self) -> int:
        return self.experiment.docids.branches

    def codes(self) -> Int[np.ndarray, "N L"]:
        docids, vectors = self.experiment.docids, self.sources.semantics.document_vectors
        return hierarchical_codes(vectors, branches=docids.branches, leaf=docids.leaf, seed=self.experiment.seed)


class RandomNumbers(CodeScheme):
    """A random number per document (DSI-Num, Tay et al. 2022): unique, and says nothing of the document."""

    levels_differ = False

    def base(self) -> int:
        return 10

    def codes(self) -> Int[np.ndarray, "N L"]:
        return random_numbers(len(self.sources.corpus[0].documents), seed=self.experiment.seed)


def _check_room(experiment: Experiment, levels: int, tokens: int) -> None:
    """Whether docids may be so long, and the vocabulary has so many sentinels beside those of suffixes."""
    if levels > experiment.docids.max_length:
        raise UserError(f"docids of {levels} codes need --docids.max_length of {levels} or more")
    if tokens + SUFFIX_DIGITS > experiment.vocabulary.extra_ids:
        raise UserError(
            f"docids of {levels} codes, {tokens} different ones, need --vocabulary.extra_ids of "
            f"{tokens + SUFFIX_DIGITS} or more, not {experiment.vocabulary.extra_ids}"
        )
