"""Searching with a trained model: constrained beam search over a run's docid trie, batch by batch."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from gr2_jax.decoding import SearchResult, constrained_beam_search
from gr2_jax.docids import DocidTrie
from gr2_jax.models import GR2, empty_cache

if TYPE_CHECKING:
    from gr2_jax.evaluation.views import Views


@dataclasses.dataclass(frozen=True)
class Hit:
    """One retrieved document; `score` is log P(docid | query). `exact`: no document missing above it can score more."""

    doc_id: str
    docid: str
    score: float
    exact: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Retriever:
    """`Retriever.from_workdir(workdir).search(["a query"], k=20)`, or built from parts:

    encode      texts -> tokens [Q, Tq], 0-padded
    doc_ids     row -> document id
    docids      row -> docid as text
    columns     [V] column of the model's logits for each token
    """

    model: GR2
    params: dict
    trie: DocidTrie
    columns: Int[np.ndarray, "V"]
    encode: Callable[[Sequence[str]], np.ndarray]
    doc_ids: Sequence[str]
    docids: Sequence[str]
    beams: int = 20
    batch: int = 50

    def __post_init__(self):
        object.__setattr__(self, "_program", jax.jit(self._search))

    @classmethod
    def from_workdir(cls, workdir: str | os.PathLike, system: str | None = None) -> "Retriever | Views":
        """The trained `system` of a run on disk (default: the first of its config). Raises `UserError` if not there."""
        from gr2_jax.pipeline.evaluate import open_retriever  # the pipeline knows how a run lies on disk

        return open_retriever(workdir, system)

    def with_beams(self, beams: int) -> "Retriever":
        return dataclasses.replace(self, beams=beams)

    def search(self, queries: Sequence[str], k: int = 20) -> list[list[Hit]]:
        """The best `k` (at most `beams`) documents of each query, best first."""
        if not queries:
            return []
        result = self.search_tokens(self.encode(queries))
        return [self._hits(result, i, k) for i in range(len(queries))]

    def search_tokens(self, tokens: Int[np.ndarray, "Q Tq"]) -> SearchResult:
        """Rows, scores, validity and bound of every query, as NumPy arrays. Every batch has one shape: one compile."""
        size = min(self.batch, len(tokens))
        parts = []
        for start in range(0, len(tokens), size):
            piece = tokens[start : start + size]
            padded = np.pad(piece, [(0, size - len(piece)), (0, 0)])
            padded[len(piece) :, 0] = 1  # a padded query must attend to something
            found = self._program(self.params, padded, self.trie.on_device)
            real = slice(len(piece))
            parts.append(jax.tree.map(lambda x, real=real: np.asarray(x)[real], found))
        return jax.tree.map(lambda *pieces: np.concatenate(pieces), *parts)

    def _search(self, params, tokens, trie) -> SearchResult:
        memory = self.model.apply({"params": params}, tokens, method="memory")

        def step(last, position, cache):
            return self.model.apply({"params": params}, last, position, cache, memory, method="step")

        batch, depth = len(tokens), self.trie.max_depth
        cache = empty_cache(self.model.config, batch, 1, depth)
        return constrained_beam_search(
            step,
            cache,
            trie,
            batch=batch,
            beams=self.beams,
            max_length=depth,
            widths=self.trie.widths(self.beams),
            columns=jnp.asarray(self.columns),
        )

    def _hits(self, result: SearchResult, query: int, k: int) -> list[Hit]:
        proven = np.logical_and.accumulate(result.scores[query] >= result.pruned_bound[query])
        found = zip(result.rows[query], result.scores[query], result.valid[query], proven, strict=True)
        return [
            Hit(self.doc_ids[row], self.docids[row], float(score), bool(exact))
            for row, score, valid, exact in list(found)[:k]
            if valid
        ]
