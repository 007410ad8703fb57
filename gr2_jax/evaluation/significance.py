"""Tests whether the difference between two runs is more than chance, and how far chance moves a mean."""

import warnings
from collections.abc import Collection

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.errors import UserError

_CHUNK = 1_000  # random assignments of signs in memory at a time


def paired_t_test(per_query_a: dict[str, float], per_query_b: dict[str, float]) -> float:
    """Returns the two-sided p-value of the paired t-test over the queries that both sides have.

    t = mean(d) / (std(d) / sqrt(n)) for the differences d, with n - 1 degrees of freedom; 1.0 if all d are 0.

    Raises:
        UserError: The sides share fewer than two queries.
    """
    from scipy.stats import ttest_rel

    a, b = _shared(per_query_a, per_query_b, "paired t-test")
    if np.array_equal(a, b):
        return 1.0
    with warnings.catch_warnings():  # SciPy warns if all d are equal: t is infinite and p is 0, as the formula says
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(ttest_rel(a, b).pvalue)


def randomisation_test(
    per_query_a: dict[str, float], per_query_b: dict[str, float], *, samples: int = 100_000, seed: int = 0
) -> float:
    """Returns the two-sided p-value of Fisher's randomisation test over the queries that both sides have.

    p is the share of sign vectors s with |sum_q s_q d_q| >= |sum_q d_q| for the differences d, over all 2^n vectors if
    there are at most `samples`; else p = (found + 1) / (samples + 1) over `samples` random vectors. The test makes no
    assumption about the distribution of the differences (Smucker et al. 2007 recommend it, and find it close to the
    t-test). It equals SciPy's `permutation_test` and is many times as fast on thousands of queries.

    Raises:
        UserError: The sides share fewer than two queries.
    """
    a, b = _shared(per_query_a, per_query_b, "randomisation test")
    differences = (a - b)[a != b]  # a sign does not change a difference of 0
    observed = abs(differences.sum()) - 1e-12 * np.abs(differences).sum()  # equal sums may differ in rounding
    ways = 2 ** len(differences)
    if ways <= samples:
        signs = np.arange(ways)[:, None] >> np.arange(len(differences)) & 1
        return float(np.mean(_sums(signs, differences) >= observed))
    random, found = np.random.default_rng(seed), 0
    for start in range(0, samples, _CHUNK):
        size = (min(_CHUNK, samples - start), -(-len(differences) // 8))
        bits = np.unpackbits(random.integers(256, size=size, dtype=np.uint8), axis=1, count=len(differences))
        found += int(np.sum(_sums(bits, differences) >= observed))
    return (found + 1) / (samples + 1)


def _sums(signs: Int[np.ndarray, "S Q"], differences: Float[np.ndarray, " Q"]) -> Float[np.ndarray, " S"]:
    """The size of the sum of the differences where a sign of 1 is plus and 0 minus."""
    return np.abs(2 * (signs @ differences) - differences.sum())


def _shared(a: dict[str, float], b: dict[str, float], test: str) -> tuple[np.ndarray, np.ndarray]:
    """The values of the queries that both sides have."""
    shared = [query_id for query_id in a if query_id in b]
    if len(shared) < 2:
        raise UserError(f"a {test} needs two queries that both runs have, found {len(shared)}")
    return np.array([a[query_id] for query_id in shared]), np.array([b[query_id] for query_id in shared])


def mean_interval(values: Collection[float], *, level: float = 0.95) -> tuple[float, float] | None:
    """Returns the t interval of the mean over queries: mean ± t * std / sqrt(n), where t is the quantile at
    (1 + level) / 2 with n - 1 degrees of freedom; None for fewer than two values.

    It holds for other queries drawn as these were, not for other seeds of a training. With few queries its ends can lie
    outside a measure's range.
    """
    from scipy.stats import t

    sample = np.asarray(list(values), np.float64)
    if len(sample) < 2:
        return None
    half = float(t.ppf((1 + level) / 2, len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample)))
    return float(sample.mean()) - half, float(sample.mean()) + half


TESTS = {"t": paired_t_test, "randomisation": randomisation_test}


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
