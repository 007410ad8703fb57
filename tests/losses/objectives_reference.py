"""The objectives beside MGCC as plain loops over Python floats (float64): likelihoods, ablations, docid models."""

import math

from losses_reference import log_sum_exp, reduce, similarity


def label_smoothed_nll(logits, targets, weights, label_smoothing):
    """One sequence: logits [T][V]."""
    total = 0.0
    for row, target, weight in zip(logits, targets, weights, strict=True):
        log_z = log_sum_exp(row)
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


def graded_likelihood(nll, grades, *, reduction):
    """Each docid's negative log-likelihood weighted by its grade's share of the query's grades."""
    per_query = []
    for losses, judged in zip(nll, grades, strict=True):
        total = sum(g for g in judged if g > 0)
        if total:
            per_query.append(sum(g / total * x for x, g in zip(losses, judged, strict=True) if g > 0))
    return reduce(per_query, reduction)


def graded_cross_entropy(scores, grades, *, docid_mask, reduction):
    """Cross-entropy between the softmax over a query's scores and its grades divided by their sum."""
    per_query = []
    for row, judged in zip(scores, grades, strict=True):
        kept = [n for n in range(len(row)) if docid_mask is None or docid_mask[n]]
        total = sum(max(judged[n], 0) for n in kept)
        if total:
            log_z = log_sum_exp([row[n] for n in kept])
            per_query.append(sum(max(judged[n], 0) / total * (log_z - row[n]) for n in kept))
    return reduce(per_query, reduction)


def lambdarank(scores, grades, *, docid_mask, gain, reduction, ranked_by=None):
    """Sum over pairs with grade_i > grade_j of |change of nDCG by their swap| * log(1 + exp(s_j - s_i)).

    nDCG is computed anew for every swapped list. The ranks are those of the scores `ranked_by` (default: `scores`),
    so that they can stay fixed while the scores change.
    """
    per_query = []
    for q, row in enumerate(scores):
        kept = [n for n in range(len(row)) if docid_mask is None or docid_mask[n]]
        grade = {n: max(int(grades[q][n]), 0) for n in kept}
        if not any(grade.values()):
            continue
        gains = {n: 2 ** grade[n] - 1 if gain == "exponential" else grade[n] for n in kept}
        ideal = sum(g / math.log2(2 + i) for i, g in enumerate(sorted(gains.values(), reverse=True)))
        ranking = sorted(kept, key=lambda n: (-(scores if ranked_by is None else ranked_by)[q][n], n))

        def ndcg(ranking, gains=gains, ideal=ideal):
            return sum(gains[n] / math.log2(2 + i) for i, n in enumerate(ranking)) / ideal

        total = 0.0
        for i in kept:
            for j in kept:
                if grade[i] > grade[j]:
                    swapped = [j if n == i else i if n == j else n for n in ranking]
                    total += abs(ndcg(swapped) - ndcg(ranking)) * softplus(row[j] - row[i])
        per_query.append(total)
    return reduce(per_query, reduction)


def softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def learnable_penalty(parameters):
    """lambda_l = (sum of softplus of the parameters up to l) / (sum over all parameters)."""
    total = sum(softplus(p) for p in parameters)
    return [sum(softplus(p) for p in parameters[: l + 1]) / total for l in range(len(parameters))]


def penalty_prior(penalties):
    return -sum(math.log(p) for p in penalties) / len(penalties)


def relevance(documents, queries, query_ids, document_ids, temperature=1.0):
    """Eq. 1; zeta leaves out rows of the same query and of queries that are paired with the same document."""
    pairs = set(zip(document_ids, query_ids, strict=True))
    total = 0.0
    for i in range(len(documents)):
        own = similarity(documents[i], queries[i], "dot") / temperature
        others = [
            similarity(documents[i], queries[j], "dot") / temperature
            for j in range(len(queries))
            if j != i and (document_ids[i], query_ids[j]) not in pairs
        ]
        top = max([own, *others])
        total += math.exp(own - top) / (math.exp(own - top) + sum(math.exp(x - top) for x in others))
    return -total / len(documents)


def distinctness(documents, queries, query_ids, document_ids, margin=None):
    """Eq. 2; with a margin, pairs are pushed apart until their similarity is that."""

    def pushed(value):
        return value if margin is None else max(value - margin, 0.0)

    def mean_over_pairs(rows, ids):
        values = [
            pushed(similarity(rows[i], rows[j], "dot"))
            for i in range(len(rows))
            for j in range(len(rows))
            if i != j and ids[i] != ids[j]
        ]
        return sum(values) / len(values) if values else 0.0

    matched = [similarity(d, q, "dot") for d, q in zip(documents, queries, strict=True)]
    return mean_over_pairs(documents, document_ids) + mean_over_pairs(queries, query_ids) - sum(matched) / len(matched)
