"""Docids of codes, written in sentinels: clusters of the documents' LSA vectors, or random numbers."""

import abc
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.array_files import load_arrays
from gr2_jax.docids import Codes, hierarchical_codes, nearest_tuples, product_codes, random_numbers, residual_codes
from gr2_jax.docids.clusters import UnitRows, Vectors
from gr2_jax.docids.hierarchy import digits_needed
from gr2_jax.errors import UserError, check_least
from gr2_jax.experiment.scheme import Candidates, Scheme
from gr2_jax.pipeline.initial_weights import SENTINEL_VECTORS
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.base import SUFFIX_DIGITS, FixedCandidates, scheme_fingerprint
from gr2_jax.pipeline.stage import reading_stage


class CodeScheme(Scheme):
    """A code per level. Code c of level l is the sentinel number l * base + c."""

    levels_differ: ClassVar[bool] = True
    """Whether the same number at another level is another token."""

    @property
    @abc.abstractmethod
    def base(self) -> int:
        """Different codes per level."""

    def spelled(self, run: Run, codes: Int[np.ndarray, "*N L"]) -> Int[np.ndarray, "*N L"]:
        """Codes from 0, -1 after the last level of a document -> tokens, 0-padded."""
        levels = codes.shape[-1]
        _check_room(run, self, levels, self.base * (levels if self.levels_differ else 1))
        ids = self._sentinels(run, levels if self.levels_differ else 1)
        written = ids[np.arange(levels) if self.levels_differ else np.zeros(levels, int), codes]
        return np.where(codes >= 0, written, 0)

    def _sentinels(self, run: Run, levels: int) -> Int[np.ndarray, "L C"]:
        numbers = np.arange(levels * self.base, dtype=np.int32).reshape(levels, self.base)
        return np.asarray(run.tokenizer.sentinels, np.int32)[numbers]

    def open_further(self, run: Run, made: Path) -> FixedCandidates:
        raise UserError(f"{self.name} docids are places in an order of the whole collection: later documents have none")

    def _unique(self, run: Run, codes: Callable[[], Int[np.ndarray, "N L"]]) -> FixedCandidates:
        """Of one candidate per document. `codes` are computed when they are first needed: of several processes by the
        one that builds the docids."""
        tokens = functools.cache(lambda: self.spelled(run, codes()))
        return FixedCandidates(lambda rows: tokens()[rows][:, None], scheme_fingerprint(run, self), reads_as_text=False)


@dataclasses.dataclass(frozen=True)
class Quantised(CodeScheme):
    """Codes whose centroids are vectors of the documents' own space: the retrieval model may start from them.

    levels        codes that spell a docid
    codes         different values of each
    candidates    tuples of codes nearest to a document's vector, of which it gets the first that is free
    """

    levels: int = 3
    codes: int = 64
    candidates: int = 64

    def __post_init__(self):
        super().__post_init__()
        check_least(self, 1, "levels", "codes", "candidates")

    @property
    def base(self) -> int:
        return self.codes

    def check(self, run: Run) -> None:
        _check_room(run, self, self.levels, self.levels * self.codes)

    def check_corpus(self, run: Run) -> None:
        if self.codes > (documents := len(run.doc_ids)):
            raise UserError(f"scheme {self.name}: codes is {self.codes}, and there are only {documents} documents")

    def vectors(self, run: Run) -> Vectors:
        """What is quantised: the documents' LSA vectors."""
        return run.semantics.document_vectors

    @abc.abstractmethod
    def quantise(self, run: Run) -> Codes: ...

    def open(self, run: Run) -> FixedCandidates:
        quantised = functools.cache(lambda: self.quantise(run))

        def extras(out: Path) -> None:
            self.write_centroids(run, quantised(), out)

        return self.nearest(run, self.vectors(run), lambda: quantised().centroids, extras)

    def open_further(self, run: Run, made: Path) -> FixedCandidates:
        centroids = functools.cache(lambda: self.read_centroids(made / SENTINEL_VECTORS))
        return self.nearest(run, self.vectors(run), centroids)

    def nearest(
        self,
        run: Run,
        vectors: Vectors,
        centroids: Callable[[], Float[np.ndarray, "L C F"]],
        extras: Callable[[Path], None] = lambda out: None,
    ) -> FixedCandidates:
        """Candidates by centroids that are made or read when they are first needed."""

        def candidates(rows: Int[np.ndarray, "n"]) -> Candidates:
            return self.spelled(run, nearest_tuples(UnitRows(vectors, rows), centroids(), self.candidates))

        return FixedCandidates(candidates, scheme_fingerprint(run, self), extras, reads_as_text=False)

    def write_centroids(self, run: Run, quantised: Codes, out: Path) -> None:
        self.write_vectors(run, quantised.centroids, out / SENTINEL_VECTORS)

    def write_vectors(self, run: Run, vectors: Float[np.ndarray, "L C F"], path: Path) -> None:
        """With the sentinels that spell the codes."""
        ids = self._sentinels(run, self.levels)
        np.savez(path, ids=ids.ravel(), vectors=vectors.reshape(ids.size, -1))

    def read_centroids(self, path: Path) -> Float[np.ndarray, "L C F"]:
        with reading_stage(path.parent, path.name):
            vectors = load_arrays(path, {"ids": 1, "vectors": 2})["vectors"]
            if len(vectors) != self.levels * self.codes:
                raise UserError(
                    f"{path} is damaged: it has {len(vectors)} vectors for {self.levels} x {self.codes} codes"
                )
        return vectors.reshape(self.levels, self.codes, -1)


@dataclasses.dataclass(frozen=True)
class ResidualCodes(Quantised):
    """Residual k-means (RIPOR, Zeng et al. 2024): each code refines those before it."""

    name: str = "rq"

    def settings(self) -> list:
        return [self, "residuals by direction"]  # before 28 November 2026 from a random start: other codes

    def quantise(self, run: Run) -> Codes:
        return residual_codes(self.vectors(run), levels=self.levels, codes=self.codes, seed=run.experiment.seed)


@dataclasses.dataclass(frozen=True)
class ProductCodes(Quantised):
    """Product quantisation (Ultron-PQ, Zhou et al. 2022): each code is one part of the vector."""

    name: str = "pq"

    def check_corpus(self, run: Run) -> None:
        super().check_corpus(run)
        if self.levels > (features := run.semantics.document_vectors.shape[1]):
            raise UserError(f"scheme {self.name}: levels is {self.levels}, and documents have vectors of {features}")

    def quantise(self, run: Run) -> Codes:
        return product_codes(self.vectors(run), parts=self.levels, codes=self.codes, seed=run.experiment.seed)


@dataclasses.dataclass(frozen=True)
class HierarchicalCodes(CodeScheme):
    """Hierarchical k-means (DSI-Sem, Tay et al. 2022; NCI, Wang et al. 2022): unique from the start.

    branches    clusters per level
    leaf        the largest cluster that is not divided further
    """

    name: str = "hierarchical"
    branches: int = 10
    leaf: int = 100

    def __post_init__(self):
        super().__post_init__()
        check_least(self, 2, "branches")
        check_least(self, 1, "leaf")

    @property
    def base(self) -> int:
        return self.branches

    def check_corpus(self, run: Run) -> None:
        levels = digits_needed(len(run.doc_ids), base=self.branches)  # at least
        _check_room(run, self, levels, levels * self.branches)

    def open(self, run: Run) -> FixedCandidates:
        vectors, seed = run.semantics.document_vectors, run.experiment.seed
        sizes = {"branches": self.branches, "leaf": self.leaf}
        return self._unique(run, lambda: hierarchical_codes(vectors, **sizes, seed=seed))


@dataclasses.dataclass(frozen=True)
class RandomNumbers(CodeScheme):
    """A random number per document (DSI-Num, Tay et al. 2022): unique, and without any meaning."""

    name: str = "number"
    levels_differ = False

    @property
    def base(self) -> int:
        return 10

    def check_corpus(self, run: Run) -> None:
        _check_room(run, self, digits_needed(len(run.doc_ids), base=self.base), self.base)

    def open(self, run: Run) -> FixedCandidates:
        return self._unique(run, lambda: random_numbers(len(run.doc_ids), seed=run.experiment.seed))


def _check_room(run: Run, scheme: Scheme, levels: int, tokens: int) -> None:
    """Raises `UserError` where docids may not be so long, or the vocabulary has too few sentinels beside suffixes'."""
    experiment = run.experiment
    if levels > experiment.docids.max_length:
        raise UserError(f"scheme {scheme.name}: docids of {levels} codes need --docids.max_length of {levels} or more")
    if tokens + SUFFIX_DIGITS > experiment.vocabulary.extra_ids:
        raise UserError(
            f"scheme {scheme.name}: docids of {levels} codes, {tokens} different ones, need --vocabulary.extra_ids of "
            f"{tokens + SUFFIX_DIGITS} or more, not {experiment.vocabulary.extra_ids}"
        )
