"""The experiment's section on searching the queries and scoring the lists."""

import dataclasses
import math
from typing import Any

from gr2_jax.errors import SettingError, check_least
from gr2_jax.evaluation.metrics import check_measures
from gr2_jax.search.searcher import LATER, PLACES, SearchOptions


@dataclasses.dataclass(frozen=True)
class EvaluationConfig(SearchOptions):
    """How to search, and what to measure.

    weights           of these the joint score's w is the one that ranks the validation queries best, for each row; ()
                      is `weight`
    query_length      longest query, in tokens; longer ones are cut
    measures          ir_measures' names; by default the paper's for graded or for binary judgements
    """

    weights: tuple[float, ...] = ()
    query_length: int = 64
    measures: tuple[str, ...] = ()

    @property
    def search(self) -> SearchOptions:
        """The part that a searcher takes."""
        return SearchOptions(**{field.name: getattr(self, field.name) for field in dataclasses.fields(SearchOptions)})

    @property
    def decides(self) -> dict[str, Any]:
        """What decides the lists, for fingerprints: not where a search keeps what it reads."""
        left_out = {*PLACES, *(name for name in LATER if getattr(self, name) == getattr(SearchOptions, name))}
        names = [field.name for field in dataclasses.fields(self) if field.name not in left_out]
        return {"kind": type(self).__name__} | {name: getattr(self, name) for name in names}

    def __post_init__(self):
        super().__post_init__()
        check_least(self, 1, "query_length")
        if wrong := next((weight for weight in self.weights if not 0 <= weight < math.inf), None):
            raise SettingError(self, "weights", f"has {wrong}: each must be at least 0")
        if self.measures:
            check_measures(self.measures)
