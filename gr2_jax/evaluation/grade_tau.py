"""Whether documents of a higher grade are nearer to their query: what the paper's Figure 4 shows, as numbers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

GRADE_TAU = "grade tau"
"""The name of `grade_tau`'s mean over the queries, as a measure."""


def grade_tau(grades: Sequence[int], similarities: Float[np.ndarray, " n"]) -> float | None:
    """Kendall's tau-b between the grades of a query's judged documents and their similarities to the query: 1 where
    every document of a higher grade is nearer than every one of a lower grade and no two similarities of one grade
    differ, 0 where grades say nothing about nearness.

    None where all documents have the same grade, and nothing can be compared; 0 where all are equally near.
    """
    from scipy.stats import kendalltau

    if len(set(grades)) < 2:
        return None
    return float(kendalltau(grades, similarities).statistic) if len(np.unique(similarities)) > 1 else 0.0


def similarity_by_grade(grades: Sequence[int], similarities: Float[np.ndarray, " n"]) -> dict[int, float]:
    """Grade -> the mean similarity of the documents that have it, the best grade first."""
    judged = np.asarray(grades)
    return {grade: float(similarities[judged == grade].mean(dtype=np.float64)) for grade in sorted(set(grades))[::-1]}
