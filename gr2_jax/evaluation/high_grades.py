"""Measures on grades that ir_measures cannot take: its time for a query grows with the highest grade of the judgements.

What a measure is does not change: one with a threshold (`rel`) only asks whether a grade reaches it, and nDCG is
computed here from the judged grades.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gr2_jax.corpus import Qrels
from gr2_jax.errors import UserError

if TYPE_CHECKING:
    from ir_measures import Measure

MOST = 1000
"""The highest grade that is given to ir_measures as it is."""


def binary_grades(judged: Qrels, measures: "set[Measure]") -> Qrels:
    """Grades cut to the highest threshold of the measures; raises `UserError` for a measure that has none."""
    thresholds = [_threshold(measure) for measure in measures]
    most = max(thresholds, default=1)
    return {query: {doc: min(grade, most) for doc, grade in own.items()} for query, own in judged.items()}


def is_ndcg(measure: "Measure") -> bool:
    """Whether `ndcg` computes it: not the variants with other gains or discounts."""
    return measure.NAME == "nDCG" and not measure.params.keys() - {"cutoff"}


def ndcg(ranked: Mapping[str, Sequence[str]], judged: Qrels, cutoff: int | None) -> dict[str, float]:
    """nDCG of each judged query as `gr2_jax.evaluation.metrics` defines it; 0 where nothing was retrieved."""
    longest = max(map(len, (*ranked.values(), *judged.values())), default=0)
    discounts = np.log2(np.arange(2, longest + 2))[:cutoff].tolist()

    def discounted(grades: Iterable[int]) -> float:
        return sum(grade / discount for grade, discount in zip(grades, discounts, strict=False) if grade > 0)

    return {
        query: discounted(grades.get(doc, 0) for doc in ranked.get(query, ())[:cutoff])
        / (discounted(sorted(grades.values(), reverse=True)) or 1.0)
        for query, grades in judged.items()
    }


def _threshold(measure: "Measure") -> int:
    known = measure.SUPPORTED_PARAMS.get("rel")
    threshold = measure.params.get("rel", None if known is None else known.default)
    if not isinstance(threshold, int):
        raise UserError(f"{measure} reads the grades themselves, which ir_measures can only do up to {MOST:,}")
    return max(threshold, 1)
