"""A row that ranks the first documents of another row anew, by how likely a model writes the query for each."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float

from gr2_jax.errors import UserError, check_least, nearest
from gr2_jax.experiment import Row
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.pseudo_queries import PseudoQueries
from gr2_jax.pipeline.stage import fingerprint_of
from gr2_jax.search.reranked import Reranked
from gr2_jax.search.searcher import check_depth


@dataclasses.dataclass(frozen=True)
class RerankedRow(Row):
    """The first documents of another row by log P(query | document), of a model that writes queries
    (`gr2_jax.search.reranked`).

    The likelihood is that of the whole query, as p(q|d) in the paper. A mean over its tokens would give the same order.

    row          a row above this one
    scheme       a docid scheme whose model writes queries; documents and queries are cut as in its training, so that a
                 `max_length` of a query's length is better than one of a docid's
    documents    of the row's list that are ranked anew; others are not found
    weight       of the row's own score, which is added; 0: the likelihood alone
    """

    row: str
    scheme: str = "qg"
    documents: int = 100
    weight: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        check_least(self, 1, "documents")
        check_least(self, 0, "weight")

    @property
    def writes(self) -> tuple[str, ...]:
        return (self.scheme,)

    def check(self, run: Run) -> None:
        above = [row.name for row in run.rows[: run.rows.index(self)]]
        if self.row not in above:
            hint = nearest(self.row, above) if above else "there is none"
            raise UserError(f"row {self.name} reads '{self.row}', which is no row above it: {hint}")
        writers = [scheme.name for scheme in run.experiment.docids.schemes if isinstance(scheme, PseudoQueries)]
        if self.scheme not in writers:
            hint = nearest(self.scheme, writers) if writers else "add PlainQueries() to docids.schemes"
            raise UserError(f"row {self.name} reads '{self.scheme}', no docid scheme that writes queries: {hint}")
        check_depth(self.documents)

    def train(self, run: Run) -> None:
        self._scheme(run).train(run)

    def _scheme(self, run: Run) -> PseudoQueries:
        return run.scheme(self.scheme)

    def fingerprint(self, run: Run) -> str:
        return fingerprint_of([run.row(self.row).fingerprint(run), self, self._scheme(run).training_fingerprint(run)])

    def open(self, run: Run, step: int | None = None) -> Reranked:
        """At a checkpoint's step of the other row."""
        first, scheme = run.row(self.row).open(run, step), self._scheme(run)
        writer = scheme.open_further(run, run.paths.docids(scheme.name))

        def look(query: str, doc_ids: Sequence[str]) -> Float[np.ndarray, "n"]:
            return writer.log_likelihoods(query, np.array([run.row_of[doc_id] for doc_id in doc_ids]))

        return Reranked(
            first=first,
            look=look,
            depth=self.documents,
            weight=self.weight,
            text_bytes=run.document_tokens.nbytes,
            look_bytes=sum(leaf.nbytes for leaf in jax.tree.leaves(writer.params)),
        )

    def models(self, run: Run, step: int | None = None) -> dict[str, dict[str, str | int]]:
        scheme = self._scheme(run)
        about = {
            "training": scheme.training_fingerprint(run),
            "step": scheme.optimiser.steps,
            "vocabulary": run.tokenizer.fingerprint,
        }
        return {**run.row(self.row).models(run, step), f"docids-{scheme.name}": about}

    def depth(self, run: Run) -> int:
        return self.documents

    def train_seconds(self, run: Run) -> float | None:
        """The other row's; a docid scheme's model counts for no row."""
        return run.row(self.row).train_seconds(run)
