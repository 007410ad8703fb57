"""Several docid views of every document: models that each generate their own kind of docid, searched together."""

import dataclasses
import math
from collections.abc import Collection, Sequence
from typing import Any

from gr2_jax.search.retriever import Retriever
from gr2_jax.search.searcher import Hit, SearchOptions, check_depth


@dataclasses.dataclass(frozen=True, eq=False)
class Views:
    """Searches with every retriever and ranks by the mean of their likelihoods, P(d|q) = (1/V) sum_v P_v(docid_v(d)|q).

    A document that a view did not return counts 0 for this view, so the mean is a lower bound of the true one.
    """

    retrievers: tuple[Retriever, ...]
    proves = False

    @property
    def options(self) -> SearchOptions:
        return self.retrievers[0].options

    @property
    def index_bytes(self) -> int:
        return sum(retriever.index_bytes for retriever in self.retrievers)

    @property
    def model_bytes(self) -> int:
        return sum(retriever.model_bytes for retriever in self.retrievers)

    def with_options(self, **changes: Any) -> "Views":
        """As a retriever's; the ranking stays by likelihood, of which alone a mean makes sense."""
        changes["ranking"] = "likelihood"
        return Views(tuple(retriever.with_options(**changes) for retriever in self.retrievers))

    def only(self, doc_ids: Collection[str]) -> "Views":
        return Views(tuple(retriever.only(doc_ids) for retriever in self.retrievers))

    def search(self, queries: Sequence[str], k: int = 20, *, whole_batches: bool = False) -> list[list[Hit]]:
        """The best `k` documents of each query, best first; equal scores by document id. A hit's `docid` is from the
        view that finds it likeliest, its `score` is the logarithm of the mean, and it is never proven exact."""
        check_depth(k)
        most = max(k, self.options.beams)
        found = [retriever.search(queries, most, whole_batches=whole_batches) for retriever in self.retrievers]
        return [self._merge(lists)[:k] for lists in zip(*found, strict=True)]

    def _merge(self, lists: Sequence[list[Hit]]) -> list[Hit]:
        by_document: dict[str, list[Hit]] = {}
        for hit in (hit for hits in lists for hit in hits):
            by_document.setdefault(hit.doc_id, []).append(hit)
        merged = []
        for doc_id, hits in by_document.items():
            likeliest = max(hits, key=lambda hit: hit.score)
            mean = sum(math.exp(hit.score - likeliest.score) for hit in hits) / len(self.retrievers)
            merged.append(Hit(doc_id, likeliest.docid, likeliest.score + math.log(mean), proven=False))
        return sorted(merged, key=lambda hit: (-hit.score, hit.doc_id))
