"""Batches as a pure function of (seed, step, host): resuming needs no iterator state, and is exact on any hosts."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.order import Examples, visit
from gr2_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class BatchShape:
    """How a training batch is filled.

    queries          B, real queries with up to `docids` (K) graded documents each
    documents        texts with one document each, for the indexing likelihood
    pseudo_share     share of `documents` drawn from the augmentation; the rest are spans of the documents' own text
    span             shortest and longest span, in tokens
    length           tokens per encoder input, Tq
    negatives        H, mined wrong documents per query, where there are any to draw from
    eos              the token that ends every encoder input, as a T5's weights expect; None for no such token
    """

    queries: int
    docids: int
    documents: int
    pseudo_share: float
    span: tuple[int, int]
    length: int
    negatives: int = 0
    eos: int | None = None

    @property
    def pseudo(self) -> int:
        """Documents of a batch that are drawn from the augmentation."""
        return round(self.documents * self.pseudo_share)


@dataclasses.dataclass(frozen=True, eq=False)
class GradedBatches:
    """`batches(step)` -> numpy arrays: query_tokens [B,Tq], docid_rows [B,K], grades [B,K], judged_rows [B,J],
    judged_grades [B,J] for the queries; document_tokens [E,Tq], document_rows [E] for indexing.

    `batches(step, host=h, hosts=H)` is the h-th part of the same batch: rows h*B/H to (h+1)*B/H of the queries and of
    the documents alike, read and cut by that host alone. Each source is walked in a new random order per epoch
    (`gr2_jax.data.order`), so within an epoch nothing is lost or repeated, over all hosts together.

    Where the examples' docids are text there are docid_tokens [B,K,Ti] and document_docid_tokens [E,Ti] as well. With
    `negatives`, -1-padded rows of wrong documents for each query, there is also negative_rows [B,H], -1-padded: H of
    them (at most depth) without replacement, all alike. Everything else in the batch is what it is without.
    """

    queries: Examples
    pseudo: Examples
    documents: Examples
    shape: BatchShape
    seed: int
    negatives: Int[np.ndarray, "queries depth"] | None = None

    def __call__(self, step: int, host: int = 0, hosts: int = 1) -> dict[str, np.ndarray]:
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, step, 0, 0]))
        queries = _part(self.shape.queries, host, hosts, "queries")
        documents = _part(self.shape.documents, host, hosts, "documents")
        return {**self._query_part(step, rng, queries), **self._document_part(step, rng, documents)}

    def _query_part(self, step: int, rng, part: slice) -> dict[str, np.ndarray]:
        chosen = visit(self.queries, _places(step, self.shape.queries, part), self.seed, 0)
        taken = self.queries.take(chosen)
        # for the whole batch on every host: a host's rows are those that one host alone would have
        luck = rng.random((2, self.shape.queries, taken.grades.shape[1]))[:, part]
        picked = draw_by_grade(taken.grades, self.shape.docids, luck)
        batch = {
            "query_tokens": cut_inputs(taken.tokens, self.shape.length, self.shape.eos),
            "docid_rows": np.take_along_axis(taken.docid_rows, picked, 1),
            "grades": np.take_along_axis(taken.grades, picked, 1),
            "judged_rows": taken.docid_rows,
            "judged_grades": taken.grades,
        }
        if taken.docid_tokens is not None:
            batch["docid_tokens"] = np.take_along_axis(taken.docid_tokens, picked[..., None], 1)
        if self.negatives is None:
            return batch
        own_rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, step, 0, 3]))
        luck = own_rng.random((self.shape.queries, self.negatives.shape[1]))[part]
        return batch | {"negative_rows": draw_rows(self.negatives[chosen], self.shape.negatives, luck)}

    def _document_part(self, step: int, rng, part: slice) -> dict[str, np.ndarray]:
        """Augmentation first, then spans; a host's part may hold both."""
        shape, num_pseudo = self.shape, self.shape.pseudo
        num_spans = shape.documents - num_pseudo
        of_pseudo = slice(min(part.start, num_pseudo), min(part.stop, num_pseudo))
        of_spans = slice(max(part.start - num_pseudo, 0), max(part.stop - num_pseudo, 0))
        pseudo = self.pseudo.take(visit(self.pseudo, _places(step, num_pseudo, of_pseudo), self.seed, 1))
        spans = self.documents.take(visit(self.documents, _places(step, num_spans, of_spans), self.seed, 2))
        sizes, luck = rng.integers(shape.span[0], shape.span[1] + 1, num_spans), rng.random(num_spans)
        # the last place of an input is its end's
        room = shape.length if shape.eos is None else shape.length - 1
        cut = cut_spans(spans.tokens, sizes[of_spans], luck[of_spans], room)
        tokens = [cut_inputs(pseudo.tokens, shape.length, shape.eos), cut_inputs(cut, shape.length, shape.eos)]
        batch = {
            "document_tokens": np.concatenate(tokens),
            "document_rows": np.concatenate([pseudo.docid_rows[:, 0], spans.docid_rows[:, 0]]),
        }
        if spans.docid_tokens is not None:
            own = pseudo.docid_tokens[:, 0], spans.docid_tokens[:, 0]
            width = max(docids.shape[1] for docids in own)
            padded = [np.pad(docids, [(0, 0), (0, width - docids.shape[1])]) for docids in own]
            batch["document_docid_tokens"] = np.concatenate(padded)
        return batch


def draw_by_grade(
    grades: Int[np.ndarray, "B J"], count: int, luck: Float[np.ndarray, "2 B J"]
) -> Int[np.ndarray, "B count"]:
    """Columns of `grades`: one document of the best grade, then others without replacement with odds in proportion to
    their grade (Efraimidis and Spirakis 2006); short lists are padded with padding. `luck` is uniform in [0, 1)."""
    keys = np.where(grades > 0, luck[0] ** (1.0 / np.maximum(grades, 1)), -1.0)
    # drawn apart from the keys: the largest key of the best grade would leave the others of that grade small keys
    best = np.where(grades == grades.max(axis=1, keepdims=True), luck[1], -1.0).argmax(axis=1)
    keys[np.arange(len(keys)), best] = 2.0
    return np.argsort(-keys, axis=1, kind="stable")[:, :count]


def draw_rows(
    rows: Int[np.ndarray, "B depth"], count: int, luck: Float[np.ndarray, "B depth"]
) -> Int[np.ndarray, "B count"]:
    """`count` of the `rows` (-1 = padding), without replacement; short lists keep their padding."""
    keys = np.where(rows >= 0, luck, -1.0)
    return np.take_along_axis(rows, np.argsort(-keys, axis=1, kind="stable")[:, :count], 1)


def cut_spans(
    tokens: Int[np.ndarray, "E T"], sizes: Int[np.ndarray, "E"], luck: Float[np.ndarray, "E"], length: int
) -> Int[np.ndarray, "E length"]:
    """A run of `sizes` tokens of each row, from where `luck` in [0, 1) says, 0-padded; all of a row that is shorter."""
    sizes = np.minimum(sizes, min(length, tokens.shape[1]))
    room = np.maximum((tokens != 0).sum(axis=1) - sizes, 0)
    starts = (luck * (room + 1)).astype(np.int64)
    offsets = np.arange(length)
    columns = np.minimum(starts[:, None] + offsets, tokens.shape[1] - 1)
    return np.where(offsets < sizes[:, None], np.take_along_axis(tokens, columns, 1), 0)


def close(tokens: Int[np.ndarray, "n T"], eos: int) -> Int[np.ndarray, "n T"]:
    """Puts EOS after the last token of each row, over the last token where the row is full."""
    closed = tokens.copy()
    ends = np.minimum((tokens != 0).sum(axis=1), tokens.shape[1] - 1)
    closed[np.arange(len(tokens)), ends] = eos
    return closed


def cut_inputs(tokens: Int[np.ndarray, "n T"], length: int, eos: int | None) -> Int[np.ndarray, "n length"]:
    """Rows cut or 0-padded to `length`, EOS included where there is one."""
    cut = tokens[:, :length]
    cut = np.pad(cut, [(0, 0), (0, length - cut.shape[1])])
    return cut if eos is None else close(cut, eos)


def _part(count: int, host: int, hosts: int, what: str) -> slice:
    """The rows of a batch of `count` that are this host's."""
    if count % hosts:
        raise UserError(f"a batch of {count} {what} cannot be split evenly over {hosts} hosts: use a multiple of them")
    share = count // hosts
    return slice(host * share, (host + 1) * share)


def _places(step: int, count: int, part: slice) -> Int[np.ndarray, "n"]:
    """Places in the walk of a step that takes `count`, this part of them."""
    return step * count + np.arange(part.start, part.stop)


@dataclasses.dataclass(frozen=True, eq=False)
class PairBatches:
    """Batches for the docid model, f(seed, step): half real training queries with a document of their best grade, half
    pseudo-queries with theirs. document_tokens [P, S], query_tokens [P, T] ending in EOS, document_rows [P].

    Documents are in memory: a host makes the whole batch and keeps its part of it, as `GradedBatches` says.
    `input_end` ends the document_tokens, as `BatchShape.eos` the inputs of retrieval.
    """

    queries: ExampleArrays
    pseudo: ExampleArrays
    documents: ExampleArrays
    pairs: int
    document_length: int
    query_length: int
    eos: int
    seed: int
    input_end: int | None = None

    def __call__(self, step: int, host: int = 0, hosts: int = 1) -> dict[str, np.ndarray]:
        part = _part(self.pairs, host, hosts, "pairs")
        return {name: rows[part] for name, rows in self._whole(step).items()}

    def _whole(self, step: int) -> dict[str, np.ndarray]:
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, step, 0, 1]))
        count = self.pairs // 2
        real = visit(self.queries, _places(step, count, slice(0, count)), self.seed, 3)
        count = self.pairs - count
        pseudo = visit(self.pseudo, _places(step, count, slice(0, count)), self.seed, 4)
        grades = self.queries.grades[real]
        best = draw_by_grade(grades, 1, rng.random((2, *grades.shape)))
        rows = np.take_along_axis(self.queries.docid_rows[real], best, 1)[:, 0]
        rows = np.concatenate([rows, self.pseudo.docid_rows[pseudo, 0]])
        texts = np.concatenate([self.queries.tokens[real], self.pseudo.tokens[pseudo]])[:, : self.query_length]
        documents = self.documents.tokens[rows]
        return {
            "document_tokens": cut_inputs(documents, self.document_length, self.input_end),
            "query_tokens": close(texts, self.eos),
            "document_rows": rows,
        }
