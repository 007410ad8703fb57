"""The judged queries of a run, so that a list can show what each of its documents was judged."""

import dataclasses
import itertools
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from gr2_jax.corpus import Qrels


@dataclasses.dataclass(frozen=True)
class JudgedQueries:
    """queries    id -> text
    qrels      id -> document id -> grade
    """

    queries: Mapping[str, str]
    qrels: Qrels

    def grades(self, query: str) -> dict[str, int] | None:
        """Document id -> grade of the judged query with these words; None where there is none."""
        found = self._by_text.get(_normal(query))
        return None if found is None else dict(self.qrels[found])

    def about(self, words: str, first: int, most: int) -> list[dict[str, Any]]:
        """At most `most` judged queries that contain the words, from the `first` of them on, in the run's order."""
        wanted = _normal(words)
        found = (query_id for query_id, text in self._texts.items() if wanted in text)
        return [
            {"id": query_id, "query": self.queries[query_id]}
            for query_id in itertools.islice(found, first, first + most)
        ]

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {query_id: _normal(text) for query_id, text in self.queries.items() if self.qrels.get(query_id)}

    @cached_property
    def _by_text(self) -> dict[str, str]:
        return {text: query_id for query_id, text in self._texts.items()}


def _normal(text: str) -> str:
    return " ".join(text.casefold().split())
