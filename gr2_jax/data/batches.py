"""Batches as a pure function of (seed, step, host): resuming is exact on any hosts and needs no iterator state."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.order import Examples, visit
from gr2_jax.errors import SettingError, UserError, check_least, check_share


@dataclasses.dataclass(frozen=True)
class BatchConfig:
    """What a retrieval batch holds.

    queries          B, real queries with up to `docids` graded documents each
    docids           K, documents of a query
    indexing_texts   E, texts with one document each, for the indexing likelihood
    pseudo_share     share of `indexing_texts` drawn from the augmentation; the rest are spans of the documents' text
    query_share      share of the augmentation's texts that are queries with one docid of the best grade, for the graded
                     loss too (the paper's augmentation; 0: they are indexing texts alone)
    shortest_span, longest_span    lengths of these spans, in tokens
    length           tokens per encoder input, Tq
    document_length  Td, tokens per encoder input for the spans alone, so that short texts do not pay for long ones; 0:
                     `length`
    microbatches     parts that the model reads one after the other, while the loss sees the whole batch
    """

    queries: int = 76
    docids: int = 2
    indexing_texts: int = 180
    pseudo_share: float = 0.3
    query_share: float = 1.0
    shortest_span: int = 6
    longest_span: int = 24
    length: int = 24
    document_length: int = 0
    microbatches: int = 1

    def __post_init__(self):
        check_least(self, 1, "queries", "docids", "indexing_texts", "shortest_span", "length", "microbatches")
        check_share(self, "pseudo_share", "query_share")
        check_least(self, 0, "document_length")
        room, of = (self.document_length, "document_length") if self.document_length else (self.length, "length")
        if not self.shortest_span <= self.longest_span <= room:
            raise SettingError(
                self,
                "longest_span",
                f"is {self.longest_span}: it must be between shortest_span, {self.shortest_span}, and {of}, {room}",
            )
        for name in ("queries", "indexing_texts"):
            if getattr(self, name) % self.microbatches:
                raise SettingError(
                    self, name, f"is {getattr(self, name)}: {self.microbatches} microbatches do not divide it"
                )
        if self.long_documents and self.pseudo % self.microbatches:
            raise SettingError(
                self,
                "pseudo_share",
                f"is {self.pseudo_share}, {self.pseudo} texts: {self.microbatches} microbatches do not divide them",
            )

    @property
    def pseudo(self) -> int:
        """Indexing texts that are drawn from the augmentation."""
        return round(self.indexing_texts * self.pseudo_share)

    @property
    def long_documents(self) -> int:
        """Spans that a batch holds apart from the other texts, by `document_length`; 0 where there are no others."""
        apart = self.pseudo and self.document_length not in (0, self.length)
        return self.indexing_texts - self.pseudo if apart else 0

    @property
    def augmented_queries(self) -> int:
        """Those of them that are queries for the graded loss too."""
        return round(self.pseudo * self.query_share)


@dataclasses.dataclass(frozen=True, eq=False)
class GradedBatches:
    """`batches(step)` -> numpy arrays: query_tokens [B,Tq], docid_rows [B,K], grades [B,K], judged_rows [B,J],
    judged_grades [B,J] for the queries; indexing_tokens [E,Tq], indexing_rows [E] for indexing and, where some of these
    texts are queries too, indexing_grades [E], 0 for the others. Spans with a `document_length` of their own are not
    among these, but in document_tokens [D,Td] and document_rows [D].

    `batches(step, host=h, hosts=H)` is the h-th part of the same batch: rows h*B/H to (h+1)*B/H of the queries and of
    the documents alike, read and cut by that host alone. Each source is walked in a new random order per epoch
    (`gr2_jax.data.order`), so over all hosts together an epoch loses and repeats no example.

    If docids are text, the batch also has docid_tokens [B,K,Ti], indexing_docid_tokens [E,Ti] and, with spans apart,
    document_docid_tokens [D,Ti]. With `negatives`,
    -1-padded rows of wrong documents for each query, it also has negative_rows [B,H], -1-padded: H =
    `negatives_per_query` of them (at most depth), drawn uniformly without replacement; the rest of the batch does not
    change. Where `judged_negatives` says which of them are judged not relevant, these are drawn first, and
    negative_weights [B,H] is 1 for them and `unjudged_weight` for the others.

    `eos` ends every encoder input, as T5's weights expect; None for no such token. `binary` takes every grade for 1: no
    draw and no loss then tells one relevant document from another.
    """

    queries: Examples
    pseudo: Examples
    documents: Examples
    shape: BatchConfig
    seed: int
    negatives: Int[np.ndarray, "queries depth"] | None = None
    negatives_per_query: int = 0
    judged_negatives: Bool[np.ndarray, "queries depth"] | None = None
    unjudged_weight: float = 1.0
    binary: bool = False
    eos: int | None = None

    def __call__(self, step: int, host: int = 0, hosts: int = 1) -> dict[str, np.ndarray]:
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, step, 0, 0]))
        queries = _part(self.shape.queries, host, hosts, "queries")
        batch = self._query_part(step, rng, queries)
        pseudo, spans = self._indexing_parts(host, hosts)
        texts, documents = self._pseudo_part(step, pseudo), self._span_part(step, rng, spans)
        if self.shape.long_documents:
            return batch | texts | {name.replace("indexing", "document"): rows for name, rows in documents.items()}
        return batch | _one_after_the_other(texts, documents)

    def _query_part(self, step: int, rng, part: slice) -> dict[str, np.ndarray]:
        chosen = visit(self.queries, _places(step, self.shape.queries, part), self.seed, 0)
        taken = self._graded(self.queries.take(chosen))
        # every host draws for the whole batch, so that its rows are those of a run on one host
        uniform = rng.random((2, self.shape.queries, taken.grades.shape[1]))[:, part]
        picked = draw_by_grade(taken.grades, self.shape.docids, uniform)
        batch = {
            "query_tokens": cut_inputs(taken.tokens, self.shape.length, self.eos),
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
        uniform = own_rng.random((self.shape.queries, self.negatives.shape[1]))[part]
        wrong = self.negatives[chosen]
        if self.judged_negatives is None:
            return batch | {"negative_rows": draw_rows(wrong, self.negatives_per_query, uniform)}
        judged = self.judged_negatives[chosen]
        drawn = drawn_columns(wrong, self.negatives_per_query, uniform + judged)  # judged ones come first
        weights = np.where(np.take_along_axis(judged, drawn, 1), 1.0, self.unjudged_weight).astype(np.float32)
        return batch | {"negative_rows": np.take_along_axis(wrong, drawn, 1), "negative_weights": weights}

    def _graded(self, taken: ExampleArrays) -> ExampleArrays:
        return taken._replace(grades=np.minimum(taken.grades, 1)) if self.binary else taken

    def _indexing_parts(self, host: int, hosts: int) -> tuple[slice, slice]:
        """This host's part of the augmentation and of the spans. In one block of texts, augmentation first, a host's
        rows may hold both."""
        count, pseudo = self.shape.indexing_texts, self.shape.pseudo
        if self.shape.long_documents:
            return _part(pseudo, host, hosts, "texts"), _part(count - pseudo, host, hosts, "documents")
        part = _part(count, host, hosts, "indexing texts")
        spans = slice(max(part.start - pseudo, 0), max(part.stop - pseudo, 0))
        return slice(min(part.start, pseudo), min(part.stop, pseudo)), spans

    def _pseudo_part(self, step: int, part: slice) -> dict[str, np.ndarray]:
        shape = self.shape
        places = _places(step, shape.pseudo, part)
        texts = self._graded(self.pseudo.take(visit(self.pseudo, places, self.seed, 1)))
        batch = _indexed(cut_inputs(texts.tokens, shape.length, self.eos), texts)
        if shape.augmented_queries:
            first = np.arange(part.start, part.stop) < shape.augmented_queries
            batch["indexing_grades"] = np.where(first, texts.grades[:, 0], 0).astype(np.int32)
        return batch

    def _span_part(self, step: int, rng: np.random.Generator, part: slice) -> dict[str, np.ndarray]:
        shape = self.shape
        count, length = shape.indexing_texts - shape.pseudo, shape.document_length or shape.length
        documents = self.documents.take(visit(self.documents, _places(step, count, part), self.seed, 2))
        sizes, uniform = rng.integers(shape.shortest_span, shape.longest_span + 1, count), rng.random(count)
        # the last position is left for EOS
        room = length if self.eos is None else length - 1
        cut = cut_spans(documents.tokens, sizes[part], uniform[part], room)
        return _indexed(cut_inputs(cut, length, self.eos), documents)


def _indexed(tokens: Int[np.ndarray, "E T"], texts: ExampleArrays) -> dict[str, np.ndarray]:
    """Encoder inputs with the one document of each."""
    batch = {"indexing_tokens": tokens, "indexing_rows": texts.docid_rows[:, 0]}
    return batch if texts.docid_tokens is None else batch | {"indexing_docid_tokens": texts.docid_tokens[:, 0]}


def _one_after_the_other(texts: dict[str, np.ndarray], documents: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Both as one block; what the documents lack is 0, and narrower arrays are 0-padded."""
    batch = {}
    for name, rows in texts.items():
        more = documents.get(name, np.zeros((len(documents["indexing_rows"]), *rows.shape[1:]), rows.dtype))
        width = max(rows.shape[-1], more.shape[-1]) if rows.ndim == 2 else 0
        padded = [np.pad(each, [(0, 0), (0, width - each.shape[1])]) if width else each for each in (rows, more)]
        batch[name] = np.concatenate(padded)
    return batch


def draw_by_grade(
    grades: Int[np.ndarray, "B J"], count: int, uniform: Float[np.ndarray, "2 B J"]
) -> Int[np.ndarray, "B count"]:
    """Columns of `grades`: one document of the best grade, then others without replacement with odds in proportion to
    their grade (Efraimidis and Spirakis 2006); short lists keep their padding. `uniform` is uniform in [0, 1)."""
    keys = np.where(grades > 0, uniform[0] ** (1.0 / np.maximum(grades, 1)), -1.0)
    # drawn separately: taking the largest key of the best grade would leave small keys to the others of that grade
    best = np.where(grades == grades.max(axis=1, keepdims=True), uniform[1], -1.0).argmax(axis=1)
    keys[np.arange(len(keys)), best] = 2.0
    return np.argsort(-keys, axis=1, kind="stable")[:, :count]


def draw_rows(
    rows: Int[np.ndarray, "B depth"], count: int, uniform: Float[np.ndarray, "B depth"]
) -> Int[np.ndarray, "B count"]:
    """`count` of the `rows` (-1 = padding), without replacement; short lists keep their padding."""
    return np.take_along_axis(rows, drawn_columns(rows, count, uniform), 1)


def drawn_columns(
    rows: Int[np.ndarray, "B depth"], count: int, keys: Float[np.ndarray, "B depth"]
) -> Int[np.ndarray, "B count"]:
    """The columns of the `count` largest keys, padding last."""
    return np.argsort(-np.where(rows >= 0, keys, -1.0), axis=1, kind="stable")[:, :count]


def cut_spans(
    tokens: Int[np.ndarray, "E T"], sizes: Int[np.ndarray, "E"], uniform: Float[np.ndarray, "E"], length: int
) -> Int[np.ndarray, "E length"]:
    """A span of `sizes` tokens of each row, its start drawn by `uniform` in [0, 1), 0-padded; shorter rows whole."""
    sizes = np.minimum(sizes, min(length, tokens.shape[1]))
    room = np.maximum((tokens != 0).sum(axis=1) - sizes, 0)
    starts = (uniform * (room + 1)).astype(np.int64)
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
    """Rows cut or 0-padded to `length`, EOS included if there is one."""
    cut = tokens[:, :length]
    cut = np.pad(cut, [(0, 0), (0, length - cut.shape[1])])
    return cut if eos is None else close(cut, eos)


def _part(count: int, host: int, hosts: int, what: str) -> slice:
    """This host's rows of a batch of `count`."""
    if count % hosts:
        raise UserError(f"{count} {what} cannot be split evenly over {hosts} hosts: use a multiple of {hosts}")
    share = count // hosts
    return slice(host * share, (host + 1) * share)


def _places(step: int, count: int, part: slice) -> Int[np.ndarray, "n"]:
    """The places in the walk of this part of a step that takes `count`."""
    return step * count + np.arange(part.start, part.stop)


@dataclasses.dataclass(frozen=True, eq=False)
class PairBatches:
    """Batches for the docid model, f(seed, step): `augmented` pseudo-queries with their document; the other pairs are
    training queries with a document of their best grade. document_tokens [P, S], query_tokens [P, T] ending in EOS,
    document_rows [P], query_ids [P], the same for equal texts.

    A host makes the whole batch and keeps its part, see `GradedBatches`. `input_end` ends the
    document_tokens, as `GradedBatches.eos` ends the encoder inputs of retrieval.
    """

    queries: ExampleArrays
    pseudo: ExampleArrays
    documents: ExampleArrays
    pairs: int
    augmented: int
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
        count = self.pairs - self.augmented
        real = visit(self.queries, _places(step, count, slice(0, count)), self.seed, 3)
        count = self.augmented
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
            "query_ids": np.unique(texts, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int32),
        }
