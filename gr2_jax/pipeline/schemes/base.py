"""What a docid scheme is: candidates for any rows of the corpus, a function of the run's settings and the rows."""

import abc
import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int

from gr2_jax.config import Experiment
from gr2_jax.corpus import Collection, Split
from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.semantics import TokenSemantics
from gr2_jax.data.vocabulary import Tokenizer
from gr2_jax.pipeline.prepare import load_examples, load_tokenizer, read_corpus
from gr2_jax.pipeline.semantics import load_semantics
from gr2_jax.workdir import Workdir, digest

SUFFIX_DIGITS = 10  # the last sentinels of the vocabulary spell disambiguating suffixes
Candidates = Int[np.ndarray, "n C T"]


@dataclasses.dataclass(frozen=True)
class Sources:
    """What the schemes of a run read, each thing once."""

    experiment: Experiment
    workdir: Workdir

    @cached_property
    def corpus(self) -> tuple[Collection, Split]:
        return read_corpus(self.workdir)

    @cached_property
    def validation_rows(self) -> Int[np.ndarray, "n"]:
        """A document of the best grade for each validation query, the first judged of several."""
        collection, split = self.corpus
        row = {document.doc_id: i for i, document in enumerate(collection.documents)}
        judged = (collection.qrels[query] for query in split.validation)
        return np.array([row[max(grades, key=grades.__getitem__)] for grades in judged], np.int64)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return load_tokenizer(self.experiment, self.workdir)

    @cached_property
    def examples(self) -> dict[str, ExampleArrays]:
        return load_examples(self.workdir)

    @cached_property
    def semantics(self) -> TokenSemantics:
        return load_semantics(self.workdir)


class Scheme(abc.ABC):
    """What a scheme computes over the whole corpus (a model, clusters) it computes at its first use.

    name       what the config calls it
    upstream   the fingerprint of the sources
    """

    reads_as_text: ClassVar[bool] = True
    """Whether a docid is words, which a search engine can be asked."""
    costly: ClassVar[bool] = False
    """Whether candidates take accelerators and hours: they are then kept in shards."""
    resamples: int = 0
    """How often other candidates can be had for documents whose own are all taken."""

    def __init__(self, name: str, sources: Sources, upstream: str):
        self.name, self.sources, self.upstream = name, sources, upstream
        self.experiment = sources.experiment

    @classmethod
    def settings(cls, experiment: Experiment) -> Any:
        """What of the experiment decides the candidates, beside the sources, the seed and the longest docid."""
        return None

    @classmethod  # noqa: B027, most have nothing to refuse
    def check(cls, experiment: Experiment) -> None:
        """Raises `UserError` for settings that cannot work on any corpus."""

    def check_corpus(self) -> None:  # noqa: B027
        """Raises `UserError` where this corpus has no such docids, before any scheme spends time."""

    def train(self) -> None:  # noqa: B027
        """Trains what the scheme needs, on all devices; every process of a job takes part."""

    def fingerprint_of(self, settings: Any) -> str:
        return digest([self.upstream, self.name, self.experiment.docids.max_length, self.experiment.seed, settings])

    @property
    def fingerprint(self) -> str:
        return self.fingerprint_of(self.settings(self.experiment))

    @property
    def candidates_fingerprint(self) -> str:
        """Of what is in a shard: more than `fingerprint` where something is chosen on the way."""
        return self.fingerprint

    @abc.abstractmethod
    def candidates(self, rows: Int[np.ndarray, "n"], sample: int = 0) -> Candidates:
        """Docids of the documents `rows`, best first, 0-padded; `sample` 1, 2, ...: others than before."""

    def leave(self, out: Path) -> None:  # noqa: B027
        """Writes what is worth keeping beside the docids."""

    def held_out(self) -> dict[str, float] | None:
        """How likely the validation queries are, where the scheme has a model that knows: `nll_per_token`, nats."""
        return None
