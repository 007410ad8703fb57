"""Search with a trained model: constrained beam search over a run's docid trie, exact on request."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from gr2_jax.decoding import SearchResult
from gr2_jax.docids import DocidTrie
from gr2_jax.errors import UserError
from gr2_jax.models import GR2
from gr2_jax.progress import progress
from gr2_jax.search.compiled_search import (
    Program,
    beam_program,
    docids_by_length,
    exhaustive_program,
    on_every_device,
)
from gr2_jax.search.searcher import Hit, SearchOptions, check_depth

_WIDER = 4  # factor by which an adaptive search widens its beams
_DOCIDS_FOR_A_BEAM = 3  # docids that are scored at once in the time of one beam, which goes step by step


@dataclasses.dataclass(frozen=True, eq=False)
class Retriever:
    """A generative retriever: `retriever.search(["a query"], k=20)`. `gr2_jax.open_retriever` opens a run's.

    encode      texts -> tokens [Q, Tq], 0-padded
    doc_ids     row -> document id
    docid_texts row -> docid as text
    columns     [V] column of the model's logits for each token
    """

    model: GR2
    params: dict
    trie: DocidTrie
    columns: Int[np.ndarray, "V"]
    encode: Callable[[Sequence[str]], np.ndarray]
    doc_ids: Sequence[str]
    docid_texts: Sequence[str]
    options: SearchOptions = dataclasses.field(default_factory=SearchOptions)
    _kept: dict = dataclasses.field(default_factory=dict, init=False, repr=False)  # programs and device arrays

    @property
    def index_bytes(self) -> int:
        """Bytes that a search keeps of the corpus."""
        return self.trie.nbytes

    @property
    def model_bytes(self) -> int:
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self.params))

    def with_options(self, **changes: Any) -> "Retriever":
        """The same model with other search options; compiled programs are shared. See `SearchOptions`."""
        other = dataclasses.replace(self, options=self.options.changed(**changes))
        object.__setattr__(other, "_kept", self._kept)
        return other

    def with_params(self, params: dict) -> "Retriever":
        """The same searches with other parameters of the same shapes, such as a later step's: nothing is recompiled."""
        other = dataclasses.replace(self, params=params)
        other._kept.update({name: kept for name, kept in self._kept.items() if name != "params"})
        return other

    def search(self, queries: Sequence[str], k: int = 20, *, whole_batches: bool = False) -> list[list[Hit]]:
        """The best `k` documents of each query, best first; fewer if the corpus has fewer."""
        if not queries:
            return []
        result = self.search_tokens(self.encode(queries), k, whole_batches=whole_batches)
        return [self._hits(result, i) for i in range(len(queries))]

    def search_tokens(
        self, tokens: Int[np.ndarray, "Q Tq"], k: int | None = None, *, whole_batches: bool = False
    ) -> SearchResult:
        """Rows, scores, validity and bound of every query, as NumPy arrays [Q, k]; k defaults to the beams.

        With `whole_batches` every call is padded to `batch` queries per device, and the results are the same bytes on
        any number of devices. Without it, few queries make a smaller call, whose rounding may differ.
        """
        options, k = self.options, self.options.beams if k is None else k
        check_depth(k)
        if options.exact == "exhaustive":
            if self.trie.num_docids > options.exhaustive_limit:
                raise UserError(
                    f"exact 'exhaustive' would score {self.trie.num_docids:,} docids for every query, more than "
                    f"exhaustive_limit, {options.exhaustive_limit:,}: use 'adaptive', or a higher limit"
                )
            return self._exhaustive(tokens, k)
        found = self._by_beams(tokens, max(options.beams, k), k, whole_batches)
        return self._widened(found, tokens, k, whole_batches) if options.exact == "adaptive" else found

    def _widened(self, found: SearchResult, tokens: np.ndarray, k: int, whole_batches: bool) -> SearchResult:
        options, docids, beams = self.options, self.trie.num_docids, max(self.options.beams, k)
        unsure = np.flatnonzero(~found.all_proven)
        while unsure.size and beams < options.max_beams:
            beams = min(_WIDER * beams, options.max_beams)
            if docids <= min(options.exhaustive_limit, _DOCIDS_FOR_A_BEAM * beams):
                break
            again = self._by_beams(tokens[unsure], beams, k, whole_batches)
            found = _replaced(found, unsure, again)
            unsure = unsure[~again.all_proven]
        if unsure.size and docids <= options.exhaustive_limit:
            found = _replaced(found, unsure, self._exhaustive(tokens[unsure], k))
        return found

    def _by_beams(self, tokens: np.ndarray, beams: int, k: int, whole_batches: bool) -> SearchResult:
        def program():
            return beam_program(self.model, self.trie, self.columns, beams, self.options.length_penalty)

        search = self._keep(("beams", beams, self.options.length_penalty), program)
        batch = max(1, self.options.batch * self.options.beams // beams)
        arrays = self._keep("trie", lambda: on_every_device(self.trie.arrays))
        return jax.tree.map(np.asarray, self._in_batches(search, tokens, batch, arrays, whole_batches).best(k))

    def _exhaustive(self, tokens: np.ndarray, k: int) -> SearchResult:
        search = self._keep(("exhaustive", k), lambda: exhaustive_program(self.model, self.columns, k))
        docids = self._keep("docids", lambda: on_every_device(docids_by_length(self.trie)))
        # one query against many docids at once keeps a device busy
        with progress(len(tokens), "scoring every docid") as bar:
            return self._in_batches(search, tokens, 1, docids, True, bar.advance)

    def _in_batches(
        self,
        search: Program,
        tokens: np.ndarray,
        batch: int,
        docids: Any,
        whole_batches: bool,
        advance: Callable[[int], None] = lambda queries: None,
    ) -> SearchResult:
        """Pads every call to one of a few shapes, so that few programs compile."""
        params, devices = self._keep("params", lambda: on_every_device(self.params)), jax.local_device_count()
        if not whole_batches:
            batch = min(batch, _power_of_two(-(-len(tokens) // devices)))
        size, parts = devices * batch, []
        for start in range(0, len(tokens), size):
            piece = tokens[start : start + size]
            padded = np.pad(piece, [(0, size - len(piece)), (0, 0)])
            padded[len(piece) :, 0] = 1  # a padded query must attend to something
            parts.append(jax.tree.map(np.asarray, search(params, padded, docids)))
            advance(len(piece))
        return jax.tree.map(lambda *pieces: np.concatenate(pieces)[: len(tokens)], *parts)

    def _keep(self, name: Any, make: Callable[[], Any]) -> Any:
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def _hits(self, result: SearchResult, query: int) -> list[Hit]:
        proven = result.proven[query]
        found = zip(result.rows[query], result.scores[query], result.valid[query], proven, strict=True)
        return [
            Hit(self.doc_ids[row], self.docid_texts[row], float(score), bool(sure))
            for row, score, valid, sure in found
            if valid
        ]


class DocidTexts(Sequence):
    """Each document's docid as text, by row, decoded on access: a corpus has millions, a result list 20."""

    def __init__(self, trie: DocidTrie, decode: Callable[[list[int]], str]):
        self._trie, self._decode = trie, decode

    @cached_property
    def _docids(self) -> Int[np.ndarray, "N Ti"]:
        return self._trie.docids()

    def __len__(self) -> int:
        return self._trie.num_docids

    def __getitem__(self, row: int) -> str:
        docid = self._docids[row]
        return self._decode(docid[docid != 0].tolist())


def _power_of_two(number: int) -> int:
    """The smallest power of two that is at least `number`."""
    return 1 << (number - 1).bit_length()


def _replaced(found: SearchResult, places: np.ndarray, by: SearchResult) -> SearchResult:
    found = jax.tree.map(np.array, found)
    for old, new in zip(found, by, strict=True):
        old[places] = new
    return found
