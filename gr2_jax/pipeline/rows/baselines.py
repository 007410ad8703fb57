"""The rows that are not trained: BM25 over the documents, over documents and training queries, and LSA."""

import dataclasses

from gr2_jax.errors import UserError
from gr2_jax.experiment import Row
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import fingerprint_of
from gr2_jax.search.bm25 import BM25
from gr2_jax.search.lsa import LSA
from gr2_jax.search.searcher import Searcher


@dataclasses.dataclass(frozen=True)
class BM25Row(Row):
    """BM25.

    training_queries    adds each training query to the text of the documents that it grades highest, so that BM25 has
                        read what trained rows have read
    """

    name: str = "BM25"
    training_queries: bool = False

    def fingerprint(self, run: Run) -> str:
        return fingerprint_of([run.examples_fingerprint, self])

    def open(self, run: Run, step: int | None = None) -> Searcher:
        _refuse_step(self, step)
        texts = [document.contents for document in run.corpus.documents]
        return BM25(run.doc_ids, _with_training_queries(run, texts) if self.training_queries else texts)


@dataclasses.dataclass(frozen=True)
class LSARow(Row):
    """Nearest neighbour in a latent semantic space: a sanity row."""

    name: str = "LSA"

    def fingerprint(self, run: Run) -> str:
        return fingerprint_of([run.examples_fingerprint, self, run.experiment.seed])

    def open(self, run: Run, step: int | None = None) -> Searcher:
        _refuse_step(self, step)
        texts = [document.contents for document in run.corpus.documents]
        return LSA(run.doc_ids, texts, seed=run.experiment.seed)


BASELINES = (BM25Row(), BM25Row("BM25+queries", training_queries=True), LSARow())


def _refuse_step(row: Row, step: int | None) -> None:
    if step is not None:
        raise UserError(f"{row.name} is not trained and has no checkpoints: leave --step out")


def _with_training_queries(run: Run, texts: list[str]) -> list[str]:
    """Each document's text and the training queries that grade none higher."""
    row = {doc_id: i for i, doc_id in enumerate(run.doc_ids)}
    added = list(texts)
    for query, text in run.queries("train").items():
        judged = run.corpus.qrels[query]
        for doc_id, grade in judged.items():
            if grade == max(judged.values()):
                added[row[doc_id]] += "\n" + text
    return added
