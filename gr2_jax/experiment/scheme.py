"""A docid scheme: for every document a list of docids to choose from."""

import abc
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Int

from gr2_jax.errors import SettingError, check_least, check_name

Candidates = Int[np.ndarray, "n C T"]
Blocks = Callable[[Iterable[Int[np.ndarray, "n"]]], Iterator[Candidates]]


class OpenScheme(Protocol):
    """A scheme with what it needs of a run: its model, its clusters.

    resamples      how often further candidates can be had for documents whose own are all taken
    fingerprint    of the candidates
    reads_as_text  whether a docid is words, which a search engine can be asked
    blocks         candidates of many blocks of rows, block by block, where workers make them; else None
    """

    resamples: int
    fingerprint: str
    reads_as_text: bool
    blocks: Blocks | None

    def candidates(self, rows: Int[np.ndarray, "n"], sample: int = 0) -> Candidates:
        """Docids of the documents `rows`, best first, 0-padded; `sample` 1, 2, ... gives other ones."""

    def held_out(self) -> dict[str, float] | None:
        """How likely the validation queries are under the scheme's model: `nll_per_token`, nats; None without one."""

    def write_extras(self, out) -> None:
        """Writes into the folder of the docids whatever else is to be kept."""


@dataclasses.dataclass(frozen=True)
class Scheme(abc.ABC):
    """One docid scheme. A new one is a subclass in `gr2_jax.pipeline.schemes`: its fields are its settings.

    Methods are given the `gr2_jax.pipeline.run.Run` that the scheme belongs to.

    name    what rows call it
    """

    name: str

    def __post_init__(self):
        check_name(self, "name", self.name)

    @property
    def costly(self) -> bool:
        """Whether candidates take accelerators and hours: they are then kept in shards."""
        return False

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the rows that it is made of, which are trained before it."""
        return ()

    def check(self, run) -> None:  # noqa: B027, most schemes have nothing to refuse
        """Raises `UserError` for settings that cannot work on any corpus; called before the first stage."""

    def check_corpus(self, run) -> None:  # noqa: B027
        """Raises `UserError` where this corpus has no such docids, before any scheme spends time."""

    def settings(self) -> object:
        """What of the scheme decides its docids, for the fingerprint."""
        return self

    def upstream(self, run) -> list[str]:
        """Fingerprints of what else of the run decides its docids, beside the examples."""
        return []

    @abc.abstractmethod
    def open(self, run) -> OpenScheme:
        """Trains or computes what the scheme needs over the whole corpus; every process of a job takes part."""

    def open_further(self, run, made: Path) -> OpenScheme:
        """For documents that came after the docids in the folder `made`: `run` is over those that there are now,
        and nothing is trained. `UserError` where the scheme has no docids for them."""
        return self.open(run)


@dataclasses.dataclass(frozen=True)
class DocidConfig:
    """The docid schemes to make, each unique over the corpus.

    schemes       one or more, which rows name
    max_length    tokens per docid at most, its end not counted
    """

    schemes: tuple[Scheme, ...] = ()
    max_length: int = 8

    def __post_init__(self):
        check_least(self, 1, "max_length")
        names = [scheme.name for scheme in self.schemes]
        if repeated := next((name for name in names if names.count(name) > 1), None):
            raise SettingError(self, "schemes", f"has two schemes named '{repeated}': give one another name")

    @property
    def reads(self) -> set[str]:
        """The names of the rows that schemes are made of."""
        return {name for scheme in self.schemes for name in scheme.reads}
