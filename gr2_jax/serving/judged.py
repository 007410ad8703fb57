"""The judged queries of a run, so that a list can show what each of its documents was judged."""

import dataclasses
from collections.abc import Iterator, Mapping
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

    def about(self, words: str, most: int) -> Iterator[dict[str, Any]]:
        """At most `most` judged queries that contain the words, in the run's order."""
        wanted = _normal(words)
        for query_id, text in self.queries.items():
            if most and wanted in _normal(text) and self.qrels.get(query_id):
                yield {"id": query_id, "query": text}
                most -= 1

    @cached_property
    def _by_text(self) -> dict[str, str]:
        return {_normal(text): query_id for query_id, text in self.queries.items() if self.qrels.get(query_id)}


def _normal(text: str) -> str:
    return " ".join(text.casefold().split())
