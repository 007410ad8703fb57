"""Docids of codes of the vectors that other rows have: a bi-encoder's, or a sentence encoder's."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Int

from gr2_jax.docids import Codes, centroids_elsewhere, nearest_tuples
from gr2_jax.docids.clusters import SideBySide, UnitRows, Vectors
from gr2_jax.errors import SettingError, UserError, nearest
from gr2_jax.experiment import VectorRow
from gr2_jax.experiment.scheme import Candidates
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.base import FixedCandidates
from gr2_jax.pipeline.schemes.codes import ResidualCodes

_CENTROIDS = "centroids.npz"
LSA = "LSA"


@dataclasses.dataclass(frozen=True)
class RowCodes(ResidualCodes):
    """Residual codes of the vectors of rows: of a bi-encoder trained on the same queries, as RIPOR's are (Zeng et al.
    2024), or of a sentence encoder. Those rows are trained before the docids are made.

    rows    dense or encoder rows of the table; vectors of several are put side by side. "LSA" stands for the vectors
            that the corpus itself gives, and needs no row
    """

    name: str = "row-codes"
    rows: tuple[str, ...] = ("Dense",)

    def __post_init__(self):
        super().__post_init__()
        if not self.rows or len(set(self.rows)) < len(self.rows):
            raise SettingError(self, "rows", f"is {', '.join(self.rows) or 'empty'}: name one row or several different")

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(name for name in self.rows if name != LSA)

    def check(self, run: Run) -> None:
        super().check(run)
        known = [row.name for row in run.rows if isinstance(row, VectorRow)]
        if unknown := next((name for name in self.rows if name not in [LSA, *known]), None):
            raise UserError(
                f"scheme {self.name} codes vectors of row {unknown}, which is no dense or encoder row of the table: "
                f"{nearest(unknown, [*known, LSA])}"
            )
        if run.experiment.augmentation.generated and self.reads:
            raise UserError(
                f"scheme {self.name} needs {', '.join(self.rows)} before the docids, and queries are generated after "
                "them: set --augmentation.generated 0"
            )

    def upstream(self, run: Run) -> list[str]:
        return [row.vectors_fingerprint(run) for row in self._rows(run)]

    def open(self, run: Run) -> FixedCandidates:
        for row in self._rows(run):
            row.train(run)
        return super().open(run)

    def vectors(self, run: Run) -> Vectors:
        return self._joined(run, [row.document_vectors(run) for row in self._rows(run)])

    def write_centroids(self, run: Run, quantised: Codes, out: Path) -> None:
        """Also what the codes mean in the LSA space, from which the retrieval model may start."""
        self.write_vectors(run, quantised.centroids, out / _CENTROIDS)
        super().write_centroids(run, self._in_lsa(run, quantised), out)

    def _in_lsa(self, run: Run, quantised: Codes) -> Codes:
        own = UnitRows(run.semantics.document_vectors)
        return quantised._replace(centroids=centroids_elsewhere(own, quantised.codes, self.codes))

    def open_further(self, run: Run, made: Path) -> FixedCandidates:
        centroids = self.read_centroids(made / _CENTROIDS)

        def candidates(rows: Int[np.ndarray, "n"]) -> Candidates:
            vectors = self._joined(run, [row.encode_documents(run, rows) for row in self._rows(run)], rows)
            return self.spelled(run, nearest_tuples(UnitRows(vectors), centroids, self.candidates))

        return FixedCandidates(candidates, "", reads_as_text=False)  # nothing is kept under a fingerprint

    def _rows(self, run: Run) -> list[VectorRow]:
        return [run.row(name) for name in self.reads]

    def _joined(self, run: Run, of_rows: list[Vectors], rows: slice | Int[np.ndarray, "n"] = slice(None)) -> Vectors:
        lsa = [run.semantics.document_vectors[rows]] if LSA in self.rows else []
        return SideBySide([*lsa, *of_rows])
