"""The gate before training: the kind of docids that suits the collection, chosen by looking at its texts."""

import dataclasses
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int

from gr2_jax.docids.assignment import count_alone
from gr2_jax.docids.taken import hash_docids
from gr2_jax.errors import UserError, check_share
from gr2_jax.experiment.scheme import Candidates, OpenScheme, Scheme
from gr2_jax.files import write_json
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.base import scheme_fingerprint
from gr2_jax.pipeline.schemes.codes import ResidualCodes
from gr2_jax.pipeline.schemes.keywords import Keywords
from gr2_jax.pipeline.schemes.text import Titles
from gr2_jax.progress import say

_SLICE = 65536


@dataclasses.dataclass(frozen=True)
class Auto(Scheme):
    """Titles where they are docids as they stand, else telling words, else codes.

    distinctive    share of the documents whose title must be whole within `docids.max_length` tokens and like no other,
                   and share that must have a telling word
    """

    name: str = "auto"
    distinctive: float = 0.95
    keywords: Keywords = dataclasses.field(default_factory=Keywords)
    codes: ResidualCodes = dataclasses.field(default_factory=ResidualCodes)

    def __post_init__(self):
        super().__post_init__()
        check_share(self, "distinctive")

    def check(self, run: Run) -> None:
        self.codes.check(run)

    def open(self, run: Run) -> "OpenAuto":
        return OpenAuto(self, run)


class OpenAuto:
    """An `OpenScheme`; the choice is made when candidates are first needed: of several processes by the one that builds
    the docids."""

    resamples = 0

    def __init__(self, scheme: Auto, run: Run):
        self._scheme, self._run = scheme, run
        self.fingerprint = scheme_fingerprint(run, scheme)

    @property
    def reads_as_text(self) -> bool:
        return self._chosen.reads_as_text

    def candidates(self, rows: Int[np.ndarray, "n"], sample: int = 0) -> Candidates:
        return self._chosen.candidates(rows, sample)

    def held_out(self) -> None:
        return None

    def write_extras(self, out: Path) -> None:
        chosen, why = self._choice
        write_json(out / "auto.json", {"chosen": chosen.name, "why": why})
        self._chosen.write_extras(out)

    @cached_property
    def _chosen(self) -> OpenScheme:
        chosen, why = self._choice
        say(f"  {self._scheme.name} takes {chosen.name}: {why}")
        return chosen.open(self._run)

    @cached_property
    def _choice(self) -> tuple[Scheme, str]:
        """The scheme, and why."""
        run, scheme = self._run, self._scheme
        titles, keywords = Titles(), scheme.keywords
        try:
            titles.check_corpus(run)
        except UserError:
            why = "not every document has a title"
        else:
            distinct = self._distinct(titles.open(run))
            if distinct >= scheme.distinctive:
                return titles, f"{distinct:.0%} of the titles are whole and like no other"
            why = f"only {distinct:.0%} of the titles are whole and like no other"
        opened = keywords.open(run)
        worded = np.concatenate([opened.candidates(rows).any(axis=(1, 2)) for rows in self._slices()]).mean()
        if worded >= scheme.distinctive:
            return keywords, why
        return scheme.codes, f"{why}, and {1 - worded:.0%} of the documents have no telling word"

    def _distinct(self, opened: OpenScheme) -> float:
        """The share of documents whose first candidate fits `docids.max_length` and no other document has."""
        longest = self._run.experiment.docids.max_length
        hashes = []
        for rows in self._slices():
            first = opened.candidates(rows)[:, 0]
            hashes.append(np.where(np.count_nonzero(first, axis=1) <= longest, hash_docids(first), 0))
        return count_alone(np.concatenate(hashes)) / len(self._run.doc_ids)

    def _slices(self) -> list[Int[np.ndarray, "n"]]:
        count = len(self._run.doc_ids)
        return [np.arange(start, min(start + _SLICE, count)) for start in range(0, count, _SLICE)]
