"""Batches as a pure function of (seed, step): resuming needs no iterator state, and is exact."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Int

from gr2_jax.data.tasks import ExampleArrays


@dataclasses.dataclass(frozen=True)
class BatchShape:
    """How a training batch is filled.

    queries          B, real queries with up to `docids` (K) graded documents each
    documents        texts with one document each, for the indexing likelihood
    pseudo_share     share of `documents` drawn from the augmentation; the rest are spans of the documents' own text
    span             shortest and longest span, in tokens
    length           tokens per encoder input, Tq
    negatives        H, mined wrong documents per query, where there are any to draw from
    """

    queries: int
    docids: int
    documents: int
    pseudo_share: float
    span: tuple[int, int]
    length: int
    negatives: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class GradedBatches:
    """`batches(step)` -> numpy arrays: query_tokens [B,Tq], docid_rows [B,K], grades [B,K], judged_rows [B,J],
    judged_grades [B,J] for the queries; document_tokens [E,Tq], document_rows [E] for indexing.

    Each source is walked in a new random order per epoch, so within an epoch nothing is lost or repeated. With
    `negatives`, -1-padded rows of wrong documents for each query, there is also negative_rows [B,H], -1-padded: H of
    them (at most depth) without replacement, all alike. Everything else in the batch is what it is without.
    """

    queries: ExampleArrays
    pseudo: ExampleArrays
    documents: ExampleArrays
    shape: BatchShape
    seed: int
    negatives: Int[np.ndarray, "queries depth"] | None = None

    def __call__(self, step: int) -> dict[str, np.ndarray]:
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, step, 0, 0]))
        return {**self._query_part(step, rng), **self._document_part(step, rng)}

    def _query_part(self, step: int, rng) -> dict[str, np.ndarray]:
        chosen = _walk(len(self.queries.tokens), self.shape.queries, step, self.seed, 0)
        judged_rows, judged_grades = self.queries.docid_rows[chosen], self.queries.grades[chosen]
        picked = draw_by_grade(judged_grades, self.shape.docids, rng)
        part = {
            "query_tokens": self.queries.tokens[chosen, : self.shape.length],
            "docid_rows": np.take_along_axis(judged_rows, picked, 1),
            "grades": np.take_along_axis(judged_grades, picked, 1),
            "judged_rows": judged_rows,
            "judged_grades": judged_grades,
        }
        if self.negatives is None:
            return part
        own_rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, step, 0, 3]))
        return part | {"negative_rows": draw_rows(self.negatives[chosen], self.shape.negatives, own_rng)}

    def _document_part(self, step: int, rng) -> dict[str, np.ndarray]:
        num_pseudo = round(self.shape.documents * self.shape.pseudo_share)
        pseudo = _walk(len(self.pseudo.tokens), num_pseudo, step, self.seed, 1)
        spans = _walk(len(self.documents.tokens), self.shape.documents - num_pseudo, step, self.seed, 2)
        tokens = [
            self.pseudo.tokens[pseudo, : self.shape.length],
            cut_spans(self.documents.tokens[spans], self.shape.span, self.shape.length, rng),
        ]
        rows = [self.pseudo.docid_rows[pseudo, 0], self.documents.docid_rows[spans, 0]]
        return {"document_tokens": np.concatenate(tokens), "document_rows": np.concatenate(rows)}


def draw_by_grade(grades: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Column indices [B, count] of `grades` [B, J]: one document of the best grade, then others without replacement
    with odds in proportion to their grade (Efraimidis and Spirakis 2006); short lists are padded with padding."""
    keys = np.where(grades > 0, rng.random(grades.shape) ** (1.0 / np.maximum(grades, 1)), -1.0)
    # drawn apart from the keys: the largest key of the best grade would leave the others of that grade small keys
    best = np.where(grades == grades.max(axis=1, keepdims=True), rng.random(grades.shape), -1.0).argmax(axis=1)
    keys[np.arange(len(keys)), best] = 2.0
    return np.argsort(-keys, axis=1, kind="stable")[:, :count]


def draw_rows(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """[B, count] of the `rows` [B, depth] (-1 = padding), without replacement; short lists keep their padding."""
    keys = np.where(rows >= 0, rng.random(rows.shape), -1.0)
    return np.take_along_axis(rows, np.argsort(-keys, axis=1, kind="stable")[:, :count], 1)


def cut_spans(tokens: np.ndarray, span: tuple[int, int], length: int, rng: np.random.Generator) -> np.ndarray:
    """A random run of span[0]..span[1] tokens of each row of `tokens` [E, T], 0-padded to [E, length]."""
    sizes = np.minimum(rng.integers(span[0], span[1] + 1, len(tokens)), min(length, tokens.shape[1]))
    room = np.maximum((tokens != 0).sum(axis=1) - sizes, 0)
    starts = (rng.random(len(tokens)) * (room + 1)).astype(np.int64)
    offsets = np.arange(length)
    columns = np.minimum(starts[:, None] + offsets, tokens.shape[1] - 1)
    return np.where(offsets < sizes[:, None], np.take_along_axis(tokens, columns, 1), 0)


def _walk(size: int, count: int, step: int, seed: int, stream: int) -> np.ndarray:
    """Examples number step*count ... of an endless walk through all examples, reshuffled every epoch."""
    epochs, places = np.divmod(np.arange(step * count, (step + 1) * count), size)
    walk = np.empty(count, np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        walk[here] = _epoch_order(size, seed, stream, int(epoch))[places[here]]
    return walk


@functools.lru_cache(maxsize=8)
def _epoch_order(size: int, seed: int, stream: int, epoch: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, epoch, stream, 2])).permutation(size)


@dataclasses.dataclass(frozen=True, eq=False)
class PairBatches:
    """Batches for the docid model, f(seed, step): half real training queries with a document of their best grade, half
    pseudo-queries with theirs. document_tokens [P, S], query_tokens [P, T] ending in EOS, document_rows [P]."""

    queries: ExampleArrays
    pseudo: ExampleArrays
    documents: ExampleArrays
    pairs: int
    document_length: int
    query_length: int
    eos: int
    seed: int

    def __call__(self, step: int) -> dict[str, np.ndarray]:
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, step, 0, 1]))
        real = _walk(len(self.queries.tokens), self.pairs // 2, step, self.seed, 3)
        pseudo = _walk(len(self.pseudo.tokens), self.pairs - self.pairs // 2, step, self.seed, 4)
        best = draw_by_grade(self.queries.grades[real], 1, rng)
        rows = np.take_along_axis(self.queries.docid_rows[real], best, 1)[:, 0]
        rows = np.concatenate([rows, self.pseudo.docid_rows[pseudo, 0]])
        texts = np.concatenate([self.queries.tokens[real], self.pseudo.tokens[pseudo]])[:, : self.query_length]
        return {
            "document_tokens": self.documents.tokens[rows, : self.document_length],
            "query_tokens": _close(texts, self.eos),
            "document_rows": rows,
        }


def _close(tokens: np.ndarray, eos: int) -> np.ndarray:
    """Puts EOS after the last token of each row, over the last token where the row is full."""
    closed = tokens.copy()
    ends = np.minimum((tokens != 0).sum(axis=1), tokens.shape[1] - 1)
    closed[np.arange(len(tokens)), ends] = eos
    return closed
