"""What a docid scheme is: candidates for any rows of the corpus, a function of the run's settings and the rows."""

import abc
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.config import Experiment
from gr2_jax.corpus import Collection, Split
from gr2_jax.data.vocabulary import Tokenizer
from gr2_jax.pipeline.prepare import load_tokenizer, read_corpus
from gr2_jax.workdir import Workdir

SUFFIX_DIGITS = 10  # the last sentinels of the vocabulary spell disambiguating suffixes
Candidates = Int[np.ndarray, "n C T"]


class Making(NamedTuple):
    """What a scheme is given: its name, the run, the fingerprint of what it makes, a directory for what it leaves."""

    name: str
    experiment: Experiment
    workdir: Workdir
    fingerprint: str
    out: Path


class Scheme(abc.ABC):
    """Made once per run. What it computes over the whole corpus (a model, clusters) it computes at its first use."""

    reads_as_text: ClassVar[bool] = True
    """Whether a docid is words, which a search engine can be asked."""
    costly: ClassVar[bool] = False
    """Whether candidates take accelerators and hours: they are then kept in shards, which hosts share."""
    resamples: int = 0
    """How often other candidates can be had for documents whose own are all taken."""

    def __init__(self, making: Making):
        self.making = making

    @classmethod
    def settings(cls, experiment: Experiment) -> Any:
        """What of the experiment decides the candidates, beside the examples, the seed and the longest docid."""
        return None

    @abc.abstractmethod
    def candidates(self, rows: Int[np.ndarray, "n"], sample: int = 0) -> Candidates:
        """Docids of the documents `rows`, best first, 0-padded; `sample` 1, 2, ...: others than before."""

    def held_out(self) -> dict[str, float] | None:
        """How likely the validation queries are, where the scheme has a model that knows: `nll_per_token`, nats."""
        return None

    def represent(self, docids: Int[np.ndarray, "N T"]) -> Float[np.ndarray, "N F"] | None:
        """The docids as vectors, where the scheme has a model that knows."""
        return None

    @cached_property
    def corpus(self) -> tuple[Collection, Split]:
        return read_corpus(self.making.workdir)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return load_tokenizer(self.making.experiment, self.making.workdir)
