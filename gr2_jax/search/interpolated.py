"""Two searchers as one: their scores, each brought to [0, 1] for a query, in a weighted mean."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

from gr2_jax.search.searcher import Hit, Searcher, check_depth

_DEPTH = 100  # documents of each list, at least


@dataclasses.dataclass(frozen=True, eq=False)
class Interpolated:
    """score = share * a + (1 - share) * b, where a and b are the two searchers' scores of a document, moved and scaled
    so that their lists go from 1 to 0; a document that a list does not hold has 0 there."""

    first: Searcher
    second: Searcher
    share: float = 0.5
    proves = False

    @property
    def options(self) -> Any:
        return self.first.options

    @property
    def index_bytes(self) -> int:
        return self.first.index_bytes + self.second.index_bytes

    @property
    def model_bytes(self) -> int:
        return self.first.model_bytes + self.second.model_bytes

    def with_options(self, **changes: Any) -> "Interpolated":
        """Changes the first searcher's options."""
        return dataclasses.replace(self, first=self.first.with_options(**changes))

    def only(self, doc_ids: Collection[str]) -> "Interpolated":
        return dataclasses.replace(self, first=self.first.only(doc_ids), second=self.second.only(doc_ids))

    def search(self, queries: Sequence[str], k: int = 20, *, whole_batches: bool = False) -> list[list[Hit]]:
        """The best `k` documents of each query, equal scores by document id; no hit is proven."""
        check_depth(k)
        depth = max(k, _DEPTH)
        lists = [each.search(queries, depth, whole_batches=whole_batches) for each in (self.first, self.second)]
        return [self.merged(*own, k) for own in zip(*lists, strict=True)]

    def merged(self, first: Sequence[Hit], second: Sequence[Hit], k: int) -> list[Hit]:
        """One query's two lists as one."""
        scores: dict[str, float] = {}
        for share, hits in ((self.share, first), (1 - self.share, second)):
            for doc_id, score in _between_0_and_1(hits).items():
                scores[doc_id] = scores.get(doc_id, 0.0) + share * score
        docids = {hit.doc_id: hit.docid for hit in (*second, *first)}
        best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:k]
        return [Hit(doc_id, docids[doc_id], score, proven=False) for doc_id, score in best]


def _between_0_and_1(hits: Sequence[Hit]) -> dict[str, float]:
    """A list of one document, or of equal scores, has 1 throughout."""
    scores = [hit.score for hit in hits]
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    return {hit.doc_id: (hit.score - low) / (high - low) if high > low else 1.0 for hit in hits}
