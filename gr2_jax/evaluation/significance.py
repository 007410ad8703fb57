"""Is the difference between two runs more than chance."""

import numpy as np

from gr2_jax.errors import UserError


def paired_t_test(per_query_a: dict[str, float], per_query_b: dict[str, float]) -> float:
    """Returns the two-sided p-value of the paired t-test over the queries that both sides have.

    t = mean(d) / (std(d) / sqrt(n)) for the differences d, with n - 1 degrees of freedom; 1.0 where all d are 0.

    Raises:
        UserError: The sides share fewer than two queries.
    """
    from scipy.stats import ttest_rel

    shared = [query_id for query_id in per_query_a if query_id in per_query_b]
    if len(shared) < 2:
        raise UserError(f"a paired t-test needs two queries that both runs have, found {len(shared)}")
    a = np.array([per_query_a[query_id] for query_id in shared])
    b = np.array([per_query_b[query_id] for query_id in shared])
    return 1.0 if np.array_equal(a, b) else float(ttest_rel(a, b).pvalue)


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """Returns p-values corrected for the number of comparisons (Holm-Bonferroni), in the order given.

    For p_(1) <= ... <= p_(m): p'_(i) = max_{j <= i} min(1, (m - j + 1) p_(j)). Comparing p' with a level keeps the
    chance of even one false finding below that level.
    """
    corrected: dict[str, float] = {}
    largest = 0.0
    for i, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - i) * p_values[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}
