"""The first documents of another searcher's lists, in the order of a closer look at each."""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from gr2_jax.search.searcher import Hit, Searcher, check_depth


@dataclasses.dataclass(frozen=True, eq=False)
class Reranked:
    """score = look(query, document) + weight * the score of the first searcher; a document that is not among its first
    `depth` is not found.

    look          a query and document ids -> a score of each
    text_bytes    what `look` keeps of the corpus
    look_bytes    its model
    """

    first: Searcher
    look: Callable[[str, Sequence[str]], Float[np.ndarray, "n"]]
    depth: int = 100
    weight: float = 0.0
    text_bytes: int = 0
    look_bytes: int = 0
    proves = False

    @property
    def options(self) -> Any:
        return self.first.options

    @property
    def index_bytes(self) -> int:
        return self.first.index_bytes + self.text_bytes

    @property
    def model_bytes(self) -> int:
        return self.first.model_bytes + self.look_bytes

    def with_options(self, **changes: Any) -> "Reranked":
        """Changes the first searcher's options."""
        return dataclasses.replace(self, first=self.first.with_options(**changes))

    def only(self, doc_ids: Collection[str]) -> "Reranked":
        return dataclasses.replace(self, first=self.first.only(doc_ids))

    def search(self, queries: Sequence[str], k: int = 20, *, whole_batches: bool = False) -> list[list[Hit]]:
        """The best `k` of the first `depth` documents of each query, equal scores in the first searcher's order; no hit
        is proven."""
        check_depth(k)
        lists = self.first.search(queries, self.depth, whole_batches=whole_batches)
        return [self._ranked(query, hits)[:k] for query, hits in zip(queries, lists, strict=True)]

    def _ranked(self, query: str, hits: Sequence[Hit]) -> list[Hit]:
        if not hits:
            return []
        scores = self.look(query, [hit.doc_id for hit in hits])
        if self.weight:
            scores = scores + self.weight * np.array([hit.score for hit in hits])
        best = np.argsort(-scores, kind="stable")
        return [Hit(hits[i].doc_id, hits[i].docid, float(scores[i]), proven=False) for i in best]
