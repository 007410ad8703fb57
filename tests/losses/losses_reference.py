"""The paper's equations as plain loops over Python floats (float64), and their gradients by central differences."""

import math

import numpy as np


def similarity(a, b, kind):
    dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    if kind == "dot":
        return dot
    norms = math.sqrt(sum(float(x) ** 2 for x in a)) * math.sqrt(sum(float(y) ** 2 for y in b))
    return dot / norms if norms else 0.0


def l_pairs(queries, docids, *, temperature, kind, docid_mask):
    """Eq. 4, [{docid: l_pair}] per query, over the docids under the mask."""
    kept = [n for n in range(len(docids)) if docid_mask is None or docid_mask[n]]
    result = []
    for query in queries:
        scores = {n: similarity(query, docids[n], kind) / temperature for n in kept}
        top = max(scores.values(), default=0.0)
        log_total = top + math.log(sum(math.exp(s - top) for s in scores.values())) if kept else 0.0
        result.append({n: s - log_total for n, s in scores.items()})
    return result


def final_pair_losses(l_pair, grades, num_grades, constraint):
    """One query: {grade: {docid: final loss}} for the grades it has."""
    by_grade = {l: {n: p for n, p in l_pair.items() if grades[n] == l} for l in range(1, num_grades + 1)}
    final = {}
    for l, pairs in by_grade.items():
        for n, p in pairs.items():
            if constraint == "off":
                loss = -p
            elif constraint == "literal":
                loss = -max([p, *by_grade.get(l + 1, {}).values()])
            else:
                loss = max([-p, *(-h for m in range(l + 1, num_grades + 1) for h in by_grade[m].values())])
            final.setdefault(l, {})[n] = loss
    return final


def penalties(penalty, num_grades):
    if penalty == "rank":
        return {l: 1 / (num_grades - l + 1) ** 2 for l in range(1, num_grades + 1)}
    if penalty == "grade":
        return {l: 1 / l**2 for l in range(1, num_grades + 1)}
    return {l: float(penalty[l - 1]) for l in range(1, num_grades + 1)}


def mgcc(
    queries,
    docids,
    grades,
    *,
    num_grades,
    temperature=0.1,
    penalty="rank",
    constraint="running_max",
    similarity="cosine",
    docid_mask=None,
    reduction="mean",
):
    """Eq. 9."""
    weight = penalties(penalty, num_grades)
    per_query = []
    for q, pairs in enumerate(
        l_pairs(queries, docids, temperature=temperature, kind=similarity, docid_mask=docid_mask)
    ):
        final = final_pair_losses(pairs, grades[q], num_grades, constraint)
        if final:
            terms = [weight[l] * sum(losses.values()) / len(losses) for l, losses in final.items()]
            per_query.append(sum(terms) / len(final))
    return reduce(per_query, reduction)


def reduce(values, reduction):
    total = sum(values)
    return total if reduction == "sum" or not values else total / len(values)


def label_smoothed_nll(logits, targets, weights, label_smoothing):
    """One sequence: logits [T][V]."""
    total = 0.0
    for row, target, weight in zip(logits, targets, weights, strict=True):
        top = max(row)
        log_z = top + math.log(sum(math.exp(x - top) for x in row))
        uniform = sum(log_z - x for x in row) / len(row)
        total += weight * ((1 - label_smoothing) * (log_z - row[target]) + label_smoothing * uniform)
    return total


def query_likelihood(nll, grades, num_grades, reduction):
    """Eq. 11."""
    per_query = []
    for losses, judged in zip(nll, grades, strict=True):
        of_grade = [[x for x, g in zip(losses, judged, strict=True) if g == l] for l in range(1, num_grades + 1)]
        means = [sum(xs) / len(xs) for xs in of_grade if xs]
        if means:
            per_query.append(sum(means) / len(means))
    return reduce(per_query, reduction)


def relevance(documents, queries, query_ids, document_ids):
    """Eq. 1, with the rows of one query, and of a query paired with the same document, left out of zeta."""
    pairs = set(zip(document_ids, query_ids, strict=True))
    total = 0.0
    for i in range(len(documents)):
        own = similarity(documents[i], queries[i], "dot")
        others = [
            similarity(documents[i], queries[j], "dot")
            for j in range(len(queries))
            if j != i and (document_ids[i], query_ids[j]) not in pairs
        ]
        top = max([own, *others])
        total += math.exp(own - top) / (math.exp(own - top) + sum(math.exp(x - top) for x in others))
    return -total / len(documents)


def distinctness(documents, queries, query_ids, document_ids):
    """Eq. 2."""

    def mean_over_pairs(rows, ids):
        values = [
            similarity(rows[i], rows[j], "dot")
            for i in range(len(rows))
            for j in range(len(rows))
            if i != j and ids[i] != ids[j]
        ]
        return sum(values) / len(values) if values else 0.0

    matched = [similarity(d, q, "dot") for d, q in zip(documents, queries, strict=True)]
    return mean_over_pairs(documents, document_ids) + mean_over_pairs(queries, query_ids) - sum(matched) / len(matched)


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
