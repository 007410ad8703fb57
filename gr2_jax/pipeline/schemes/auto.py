"""The gate before training: the kind of docids that suits the collection, chosen by looking at its texts."""

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from gr2_jax.docids.assignment import count_alone
from gr2_jax.docids.taken import hash_docids
from gr2_jax.errors import UserError, check_share
from gr2_jax.experiment.scheme import Blocks, Candidates, OpenScheme, Scheme
from gr2_jax.files import read_json, write_json
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.base import scheme_fingerprint
from gr2_jax.pipeline.schemes.codes import ResidualCodes
from gr2_jax.pipeline.schemes.keywords import Keywords
from gr2_jax.pipeline.schemes.text import Titles
from gr2_jax.pipeline.stage import reading_stage
from gr2_jax.progress import say

_CHOICE = "auto.json"
_SLICE = 65536
_SAMPLE = 10_000  # documents that are asked whether they have a telling word


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

    def open_further(self, run: Run, made: Path) -> OpenScheme:
        """As it chose when it made the docids."""
        with reading_stage(made, _CHOICE) as path:
            chosen = read_json(path)["chosen"]
            schemes = {scheme.name: scheme for scheme in (Titles(), self.keywords, self.codes)}
            if chosen not in schemes:
                raise UserError(f"{path} is damaged: {chosen!r} is none of its schemes")
        schemes[chosen].check_corpus(run)
        return schemes[chosen].open_further(run, made)


class OpenAuto:
    """An `OpenScheme`; the choice is made when candidates are first needed: of several processes by the one that builds
    the docids."""

    resamples = 0

    def __init__(self, scheme: Auto, run: Run):
        self._scheme, self._run = scheme, run
        self.fingerprint = scheme_fingerprint(run, scheme)

    @property
    def reads_as_text(self) -> bool:
        return self._choice.opened.reads_as_text

    @property
    def blocks(self) -> Blocks | None:
        return self._choice.opened.blocks

    def candidates(self, rows: Int[np.ndarray, "n"], sample: int = 0) -> Candidates:
        return self._choice.opened.candidates(rows, sample)

    def held_out(self) -> None:
        return None

    def write_extras(self, out: Path) -> None:
        write_json(out / _CHOICE, {"chosen": self._choice.name, "why": self._choice.why})
        self._choice.opened.write_extras(out)

    @cached_property
    def _choice(self) -> "_Choice":
        choice = self._chosen()
        say(f"  {self._scheme.name} takes {choice.name}: {choice.why}")
        return choice

    def _chosen(self) -> "_Choice":
        run, scheme = self._run, self._scheme
        titles, keywords = Titles(), scheme.keywords
        try:
            titles.check_corpus(run)
        except UserError:
            why = "not every document has a title"
        else:
            opened = titles.open(run)
            distinct = self._distinct(opened)
            if distinct >= scheme.distinctive:
                return _Choice(titles.name, opened, f"{distinct:.0%} of the titles are whole and like no other")
            why = f"only {distinct:.0%} of the titles are whole and like no other"
        own = dataclasses.replace(keywords, name=scheme.name)  # what it leaves is this scheme's, and removed with it
        opened, documents = own.open(run), len(run.doc_ids)
        sample = np.unique(np.linspace(0, documents - 1, min(documents, _SAMPLE)).astype(np.int64))
        worded = opened.candidates(sample).any(axis=(1, 2)).mean()
        if worded >= scheme.distinctive:
            return _Choice(keywords.name, opened, why)
        why = f"{why}, and {1 - worded:.0%} of the documents have no telling word"
        scheme.codes.check_corpus(run)
        return _Choice(scheme.codes.name, scheme.codes.open(run), why)

    def _distinct(self, opened: OpenScheme) -> float:
        """The share of documents whose first candidate fits `docids.max_length` and no other document has."""
        longest = self._run.experiment.docids.max_length
        documents, hashes = len(self._run.doc_ids), []
        for start in range(0, documents, _SLICE):
            first = opened.candidates(np.arange(start, min(start + _SLICE, documents)))[:, 0]
            hashes.append(np.where(np.count_nonzero(first, axis=1) <= longest, hash_docids(first), 0))
        return count_alone(np.concatenate(hashes)) / documents


class _Choice(NamedTuple):
    """The scheme's name, the scheme as it was opened, and why it was taken."""

    name: str
    opened: OpenScheme
    why: str
