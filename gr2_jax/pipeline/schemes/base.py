"""What the schemes share: their fingerprint, and candidates that are known from the start."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Int

from gr2_jax.experiment.scheme import Blocks, Candidates, Scheme
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import fingerprint_of

SUFFIX_DIGITS = 10  # the last sentinels of the vocabulary spell disambiguating suffixes


def scheme_fingerprint(run: Run, scheme: Scheme) -> str:
    """The fingerprint of everything that decides a scheme's docids."""
    experiment, kind = run.experiment, type(scheme).__name__
    upstream = [run.examples_fingerprint, experiment.seed, experiment.docids.max_length, *scheme.upstream(run)]
    return fingerprint_of([upstream, kind, scheme.name, scheme.settings()])


@dataclasses.dataclass(frozen=True, eq=False)
class FixedCandidates:
    """An `OpenScheme` whose candidates are a function of the document alone.

    get      rows -> candidates
    extras   writes what else is kept beside the docids
    """

    get: Callable[[Int[np.ndarray, "n"]], Candidates]
    fingerprint: str
    extras: Callable[[Path], None] = lambda out: None
    reads_as_text: bool = True
    resamples: int = 0
    blocks: Blocks | None = None

    def candidates(self, rows: Int[np.ndarray, "n"], sample: int = 0) -> Candidates:
        return self.get(rows)

    def held_out(self) -> None:
        return None

    def write_extras(self, out: Path) -> None:
        self.extras(out)
