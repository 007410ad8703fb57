"""The rows that are not trained: BM25, over expanded documents too, query likelihood, and LSA."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gr2_jax.errors import UserError, check_above_zero
from gr2_jax.experiment import Row
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import fingerprint_of
from gr2_jax.search.bm25 import BM25
from gr2_jax.search.lsa import LSA
from gr2_jax.search.query_likelihood import QueryLikelihood
from gr2_jax.search.searcher import Searcher


@dataclasses.dataclass(frozen=True)
class BM25Row(Row):
    """BM25.

    training_queries    adds each training query to the text of the documents that it grades highest, so that BM25 has
                        read what trained rows have read
    generated_queries   adds the queries that `augmentation.generator` writes for each document (docT5query)
    """

    name: str = "BM25"
    training_queries: bool = False
    generated_queries: bool = False

    def check(self, run: Run) -> None:
        if self.generated_queries and not run.experiment.augmentation.generated:
            raise UserError(f"row {self.name} adds generated queries, and augmentation.generated is 0")

    @property
    def reads_text_alone(self) -> bool:
        return not self.generated_queries

    def fingerprint(self, run: Run) -> str:
        generated = [run.generated_fingerprint] if self.generated_queries else []
        return fingerprint_of([run.examples_fingerprint, self, *generated])

    def open(self, run: Run, step: int | None = None) -> Searcher:
        _refuse_step(self, step)
        added = [_training_queries(run)] if self.training_queries else []
        added += [_generated_queries(run)] if self.generated_queries else []
        return BM25(run.doc_ids, _contents(run, *added))


@dataclasses.dataclass(frozen=True)
class QueryLikelihoodRow(Row):
    """Query likelihood with Dirichlet smoothing (`gr2_jax.search.query_likelihood`).

    mu    of the smoothing: how many words of the collection are mixed with a document's own
    """

    name: str = "QL"
    mu: float = 1000.0

    def __post_init__(self):
        super().__post_init__()
        check_above_zero(self, "mu")

    reads_text_alone = True

    def fingerprint(self, run: Run) -> str:
        return fingerprint_of([run.examples_fingerprint, self])

    def open(self, run: Run, step: int | None = None) -> Searcher:
        _refuse_step(self, step)
        return QueryLikelihood(run.doc_ids, _contents(run), mu=self.mu)


@dataclasses.dataclass(frozen=True)
class LSARow(Row):
    """Nearest neighbour in a latent semantic space: a sanity row."""

    name: str = "LSA"

    reads_text_alone = True

    def fingerprint(self, run: Run) -> str:
        return fingerprint_of([run.examples_fingerprint, self, run.experiment.seed])

    def open(self, run: Run, step: int | None = None) -> Searcher:
        _refuse_step(self, step)
        return LSA(run.doc_ids, _contents(run), seed=run.experiment.seed)


BASELINES = (BM25Row(), BM25Row("BM25+queries", training_queries=True), LSARow())


def _refuse_step(row: Row, step: int | None) -> None:
    if step is not None:
        raise UserError(f"{row.name} is not trained and has no checkpoints: leave --step out")


Added = Callable[[int], Sequence[str]]
"""Row -> the texts that are added to the document's own."""


def _contents(run: Run, *added: Added) -> Iterator[str]:
    for row, document in enumerate(run.corpus.documents):
        yield "\n".join([document.contents, *(text for texts in added for text in texts(row))])


def _generated_queries(run: Run) -> Added:
    """They are decoded when their document is read: there are some for each."""
    rows, tokens = run.generated.docid_rows[:, 0], run.generated.tokens
    order = np.argsort(rows, kind="stable")
    starts = np.searchsorted(rows, np.arange(len(run.doc_ids) + 1), sorter=order)

    def of(row: int) -> list[str]:
        own = tokens[order[starts[row] : starts[row + 1]]]
        return [run.tokenizer.decode(query[query != 0].tolist()) for query in own]

    return of


def _training_queries(run: Run) -> Added:
    """Of each document, the training queries that grade none higher."""
    own: dict[int, list[str]] = defaultdict(list)
    for query, text in run.queries("train").items():
        judged = run.corpus.qrels[query]
        for doc_id, grade in judged.items():
            if grade == max(judged.values()):
                own[run.row_of[doc_id]].append(text)
    return lambda row: own.get(row, ())
