"""Whether documents of a higher grade are nearer to their query: what the paper's Figure 4 shows, as numbers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

SOMERS_D = "Somers' D"
"""The name of `somers_d`'s mean over the queries, as a measure."""


def somers_d(grades: Sequence[int], similarities: Float[np.ndarray, " n"]) -> float | None:
    """Somers' D of similarity by grade (Somers 1962, American Sociological Review 27): of the pairs of a query's
    judged documents that differ in grade, the share in which the higher grade is nearer, less the share in which it is
    farther. 1 where every document of a higher grade is nearer, 0 where grades say nothing about nearness, or all are
    equally near, -1 where all are the wrong way round.

    None where all documents have the same grade, and nothing can be compared.
    """
    from scipy.stats import somersd

    if len(set(grades)) < 2:
        return None
    return float(somersd(grades, similarities).statistic) if len(np.unique(similarities)) > 1 else 0.0


def similarity_by_grade(grades: Sequence[int], similarities: Float[np.ndarray, " n"]) -> dict[int, float]:
    """Grade -> the mean similarity of the documents that have it, the best grade first."""
    judged = np.asarray(grades)
    return {grade: float(similarities[judged == grade].mean(dtype=np.float64)) for grade in sorted(set(grades))[::-1]}
