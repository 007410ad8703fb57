"""A row that ranks the first documents of another row anew, by how likely a model writes the query for each."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from gr2_jax.errors import SettingError, UserError, check_least, nearest
from gr2_jax.experiment import Row
from gr2_jax.files import write_json
from gr2_jax.hosts import on_all
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.pseudo_queries import PseudoQueries
from gr2_jax.pipeline.stage import Stage, current_fingerprint, fingerprint_of
from gr2_jax.pipeline.validation import best_on_validation, check_chooses, read_weight
from gr2_jax.search.reranked import Reranked
from gr2_jax.search.searcher import Hit, Searcher, check_depth


@dataclasses.dataclass(frozen=True)
class RerankedRow(Row):
    """The first documents of another row by log P(query | document), of a model that writes queries
    (`gr2_jax.search.reranked`).

    The likelihood is that of the whole query, as p(q|d) in the paper. A mean over its tokens would give the same order.

    row          a row above this one
    scheme       a docid scheme whose model writes queries; documents and queries are cut as in its training, so that a
                 `max_length` of a query's length is better than one of a docid's
    documents    of the row's list that are ranked anew; others are not found
    weights      the weight with which the row's own score is added is the one of these that ranks the validation
                 queries best; 0: the likelihood alone
    """

    row: str
    scheme: str = "qg"
    documents: int = 100
    weights: tuple[float, ...] = (0.0,)

    def __post_init__(self):
        super().__post_init__()
        check_least(self, 1, "documents")
        if not self.weights or any(not 0 <= weight < math.inf for weight in self.weights):
            raise SettingError(self, "weights", f"is {self.weights}: give numbers that are 0 or more")

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
        check_chooses(run, self.name, "weight", self.weights)

    def train(self, run: Run) -> None:
        """Trains the scheme's model, and chooses the weight of several, into weights/<name>/."""
        self._scheme(run).train(run)
        stage = self._stage(run)
        if len(self.weights) == 1 or stage.done or not run.split.validation:
            return
        try:
            searcher = on_all(lambda: self._searcher(run))
        except UserError:
            return  # `open` says so, and the table; the run goes on
        stage.build(functools.partial(self._choose, run, searcher))

    def _choose(self, run: Run, searcher: Reranked, out: Path) -> None:
        @functools.cache
        def look(query: str, doc_ids: tuple[str, ...]) -> Float[np.ndarray, "n"]:
            return searcher.look(query, doc_ids)

        first = _Remembering(searcher.first)
        once = dataclasses.replace(searcher, first=first, look=lambda query, doc_ids: look(query, tuple(doc_ids)))
        chosen = best_on_validation(run, self.weights, lambda weight: dataclasses.replace(once, weight=weight))
        write_json(out / "weight.json", chosen)

    def _stage(self, run: Run) -> Stage:
        decides = [self._reads(run), current_fingerprint(run.paths.corpus), run.experiment.evaluation.decides]
        return Stage(run.paths.weight(self.name), fingerprint_of(decides))

    def _reads(self, run: Run) -> list:
        return [run.row(self.row).fingerprint(run), self, self._scheme(run).training_fingerprint(run)]

    def _scheme(self, run: Run) -> PseudoQueries:
        return run.scheme(self.scheme)

    def fingerprint(self, run: Run) -> str:
        return fingerprint_of(self._reads(run)) if len(self.weights) == 1 else self._stage(run).fingerprint

    def open(self, run: Run, step: int | None = None) -> Reranked:
        """At a checkpoint's step of the other row."""
        searcher = self._searcher(run, step)
        if len(self.weights) == 1:
            return dataclasses.replace(searcher, weight=self.weights[0])
        if not self._stage(run).done:
            raise UserError(
                f"{self.name} in {run.paths.root} has chosen no weight for its row as it is now: run the config again"
            )
        return dataclasses.replace(searcher, weight=read_weight(run.paths.weight(self.name)))

    def _searcher(self, run: Run, step: int | None = None) -> Reranked:
        first, scheme = run.row(self.row).open(run, step), self._scheme(run)
        writer = scheme.open_further(run, run.paths.docids(scheme.name))

        def look(query: str, doc_ids: Sequence[str]) -> Float[np.ndarray, "n"]:
            return writer.log_likelihoods(query, np.array([run.row_of[doc_id] for doc_id in doc_ids]))

        return Reranked(
            first=first,
            look=look,
            depth=self.documents,
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


class _Remembering:
    """A searcher that searches for the same queries once."""

    def __init__(self, searcher: Searcher):
        self._search = functools.cache(lambda queries, k, whole: searcher.search(queries, k, whole_batches=whole))

    def search(self, queries: Sequence[str], k: int = 20, *, whole_batches: bool = False) -> list[list[Hit]]:
        return self._search(tuple(queries), k, whole_batches)
