"""Eq. 1-4 and 9-11 as plain loops over float64 numbers, from a model's output arrays."""

import math

import numpy as np


def sequence_nll(logits, tokens, columns, smoothing):
    """-log P of one token sequence (0 = padding) under logits [T][C], label-smoothed over the C columns."""
    total = 0.0
    for row, token in zip(np.asarray(logits, np.float64), tokens, strict=True):
        if token != 0:
            minus_log_p = math.log(sum(math.exp(x) for x in row)) - row
            total += (1 - smoothing) * minus_log_p[columns[token]] + smoothing * minus_log_p.mean()
    return total


def mean_by_grade(losses_by_grade, weights=None):
    """1/(grades present) sum over the grades present of weight * mean of the grade's losses."""
    means = [(weights or {}).get(l, 1.0) * sum(xs) / len(xs) for l, xs in losses_by_grade.items() if xs]
    return sum(means) / len(means)


def query_likelihood(nll, grades):
    """Eq. 11's sum over queries: nll and grades are lists over queries of lists over their docids."""
    total = 0.0
    for losses, judged in zip(nll, grades, strict=True):
        total += mean_by_grade({l: [x for x, g in zip(losses, judged, strict=True) if g == l] for l in (1, 2, 3)})
    return total


def self_negative(nll, grades, negative_nll):
    """Sum over queries: each relevant docid's share of its own probability and the negatives', as Eq. 11 averages."""
    total = 0.0
    for losses, judged, wrong in zip(nll, grades, negative_nll, strict=True):
        against = sum(math.exp(-x) for x in wrong)
        chosen = [-math.log(math.exp(-x) / (math.exp(-x) + against)) for x in losses]
        total += mean_by_grade({l: [x for x, g in zip(chosen, judged, strict=True) if g == l] for l in (1, 2, 3)})
    return total


def mgcc(queries, docids_of_each, judgements, num_grades, temperature):
    """Eq. 4 and 9's sum over queries, cosine, best grade first, running maximum over all higher grades.

    queries: vectors. docids_of_each: {document: vector} as each query sees them, each document once. judgements:
    {document: grade} per query. A query without a positive counts nothing.
    """
    total = 0.0
    for query, docids, judged in zip(np.asarray(queries, np.float64), docids_of_each, judgements, strict=True):
        if not judged:
            continue
        cosines = {d: query @ v / math.sqrt((query @ query) * (v @ v)) for d, v in docids.items()}
        log_sum = math.log(sum(math.exp(c / temperature) for c in cosines.values()))
        by_grade, largest, weights = {}, -math.inf, {}
        for grade in range(num_grades, 0, -1):
            pairs = [log_sum - cosines[d] / temperature for d in docids if judged.get(d) == grade]
            by_grade[grade] = [max(pair, largest) for pair in pairs]
            weights[grade] = 1 / (num_grades - grade + 1) ** 2
            largest = max([largest, *pairs])
        total += mean_by_grade(by_grade, weights)
    return total


def listwise(nll, gains):
    """Sum over queries: cross-entropy between the softmax of log P over a query's list and the gains' shares."""
    total = 0.0
    for losses, gain in zip(nll, gains, strict=True):
        log_sum = math.log(sum(math.exp(-x) for x in losses))
        total += sum(g / sum(gain) * (x + log_sum) for x, g in zip(losses, gain, strict=True))
    return total


def margin(nll, grades, by):
    """Mean over the queries that have documents of different grades, of the mean over such pairs."""
    per_query = []
    for losses, judged in zip(nll, grades, strict=True):
        own = list(zip(losses, judged, strict=True))
        pairs = [max(0.0, by + x - y) for x, g in own for y, h in own if g > h]
        per_query += [sum(pairs) / len(pairs)] if pairs else []
    return sum(per_query) / len(per_query)


def relevance(documents, queries, rows, temperature=1.0):
    """Eq. 1; another pair's query of the same document is not among the others."""
    total = 0.0
    for i in range(len(rows)):
        own = math.exp(documents[i] @ queries[i] / temperature)
        others = sum(math.exp(documents[i] @ queries[j] / temperature) for j in range(len(rows)) if rows[j] != rows[i])
        total += own / (own + others)
    return -total / len(rows)


def distinctness(documents, queries, rows, margin=-math.inf):
    """Eq. 2; two pairs of one document are not two documents. With a margin, only what is above it counts."""
    pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if i != j]
    above = (lambda sim: sim) if margin == -math.inf else (lambda sim: max(sim - margin, 0.0))
    between_documents = [above(documents[i] @ documents[j]) for i, j in pairs if rows[i] != rows[j]]
    between_queries = [above(queries[i] @ queries[j]) for i, j in pairs]
    matched = [documents[i] @ queries[i] for i in range(len(rows))]
    return sum(between_documents) / len(between_documents) + np.mean(between_queries) - np.mean(matched)
