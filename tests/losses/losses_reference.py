"""MGCC and its parts as plain loops over Python floats (float64), and gradients by central differences."""

import math
from functools import partial

import numpy as np


def similarity(a, b, kind):
    dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    if kind == "dot":
        return dot
    norms = math.sqrt(sum(float(x) ** 2 for x in a)) * math.sqrt(sum(float(y) ** 2 for y in b))
    return dot / norms if norms else 0.0


def scaled_similarities(queries, docids, *, temperature, kind):
    """sim(f_q, f_id) / tau, [query][docid]."""
    return [[similarity(q, d, kind) / temperature for d in docids] for q in queries]


def log_sum_exp(values):
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values))


def denominator_set(n, kept, grades, denominator):
    """The docids in the sum of Eq. 4 for the pair of a query and docid n; `kept` are the unmasked docids."""
    if denominator == "batch":
        return kept
    if denominator == "negatives":
        return [a for a in kept if a == n or grades[a] == 0]
    return [a for a in kept if a == n or grades[a] < grades[n]]


def pair_losses(scores, grades, *, num_grades, denominator="batch", docid_mask=None):
    """One query: {grade: {docid: -l_pair of Eq. 4}} for the grades that it has."""
    kept = [n for n in range(len(scores)) if docid_mask is None or docid_mask[n]]
    losses = {}
    for n in kept:
        if 1 <= grades[n] <= num_grades:
            total = log_sum_exp([scores[a] for a in denominator_set(n, kept, grades, denominator)])
            losses.setdefault(int(grades[n]), {})[n] = total - scores[n]
    return losses


def compared(losses, bound):
    """What the constraint compares, {grade: [loss]}: every pair of the grade, or the mean over them."""
    if bound == "pair":
        return {l: list(of_grade.values()) for l, of_grade in losses.items()}
    return {l: [sum(of_grade.values()) / len(of_grade)] for l, of_grade in losses.items()}


def bounds_of(losses, *, constraint, bound):
    """One query: {grade: the bound on its losses}, only for grades that have a bound."""
    values = compared(losses, bound)
    bounds = {}
    for l in losses:
        if constraint == "running_max":
            higher = [v for m in values if m > l for v in values[m]]
            if higher:
                bounds[l] = max(higher)
        elif constraint == "literal" and l + 1 in values:
            # -max(l_pair, L_max), where L_max is the largest l_pair (the smallest loss) of the next grade
            bounds[l] = min(values[l + 1])
    return bounds


def final_losses(losses, *, constraint, bound="pair", bounds=None):
    """One query: {grade: [final loss]}, one per pair, or one per grade with bound="grade"."""
    if bounds is None:
        bounds = bounds_of(losses, constraint=constraint, bound=bound)
    apply = min if constraint == "literal" else max
    return {
        l: [apply(v, bounds[l]) if l in bounds else v for v in values] for l, values in compared(losses, bound).items()
    }


def penalties(penalty, num_grades, present=()):
    """Of each grade; with "gain" they are those of a query that has the grades `present`."""
    if penalty == "gain":
        mean = sum(2**l - 1 for l in present) / max(1, len(present))
        return {l: (2**l - 1) / mean for l in present}
    if penalty == "rank":
        return {l: 1 / (num_grades - l + 1) ** 2 for l in range(1, num_grades + 1)}
    if penalty == "grade":
        return {l: 1 / l**2 for l in range(1, num_grades + 1)}
    if penalty == "equal":
        return dict.fromkeys(range(1, num_grades + 1), 1.0)
    return {l: float(penalty[l - 1]) for l in range(1, num_grades + 1)}


def mgcc_from_scores(
    scores,
    grades,
    *,
    num_grades,
    penalty="rank",
    constraint="running_max",
    bound="pair",
    bound_gradient=True,
    denominator="batch",
    docid_mask=None,
    reduction="mean",
    unperturbed=None,
):
    """Eq. 9 from sim/tau. With bound_gradient=False the bounds are those at the scores `unperturbed`, constants."""
    losses_at = partial(pair_losses, num_grades=num_grades, denominator=denominator, docid_mask=docid_mask)
    per_query = []
    for q in range(len(scores)):
        bounds = None
        if not bound_gradient and unperturbed is not None:
            bounds = bounds_of(losses_at(unperturbed[q], grades[q]), constraint=constraint, bound=bound)
        final = final_losses(losses_at(scores[q], grades[q]), constraint=constraint, bound=bound, bounds=bounds)
        if final:
            weight = penalties(penalty, num_grades, final.keys())
            terms = [weight[l] * sum(losses) / len(losses) for l, losses in final.items()]
            per_query.append(sum(terms) / len(final))
    return reduce(per_query, reduction)


def mgcc(queries, docids, grades, *, temperature=0.1, similarity="cosine", **options):
    """Eq. 9 from embeddings."""
    scores = scaled_similarities(queries, docids, temperature=temperature, kind=similarity)
    return mgcc_from_scores(scores, grades, **options)


def supervised_contrastive(queries, docids, positives, *, similarity, docid_mask, reduction, temperature=0.1):
    """The mean of -l_pair over each query's positives."""
    per_query = []
    for row, positive in zip(
        scaled_similarities(queries, docids, temperature=temperature, kind=similarity), positives, strict=True
    ):
        kept = {n: s for n, s in enumerate(row) if docid_mask is None or docid_mask[n]}
        losses = [log_sum_exp(list(kept.values())) - s for n, s in kept.items() if positive[n]]
        if losses:
            per_query.append(sum(losses) / len(losses))
    return reduce(per_query, reduction)


def reduce(values, reduction):
    total = sum(values)
    return total if reduction == "sum" or not values else total / len(values)


def numeric_gradients(function, *arrays, step=1e-6):
    """Central differences of function(*arrays) in every element of every array."""
    gradients = []
    arrays = [np.array(a, dtype=np.float64) for a in arrays]
    for array in arrays:
        gradient = np.zeros_like(array)
        for at in np.ndindex(array.shape):
            value = array[at]
            array[at] = value + step
            above = function(*arrays)
            array[at] = value - step
            below = function(*arrays)
            array[at] = value
            gradient[at] = (above - below) / (2 * step)
        gradients.append(gradient)
    return gradients
