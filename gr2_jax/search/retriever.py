"""Search with a trained model: beams over a run's docid trie and the docids nearest to the query, exact on request."""

import contextlib
import dataclasses
import math
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from gr2_jax.decoding import SearchResult, TrieArrays
from gr2_jax.docids import DocidTrie
from gr2_jax.errors import UserError
from gr2_jax.models import GR2
from gr2_jax.progress import progress
from gr2_jax.search.compiled_search import (
    Beams,
    JointDocids,
    Program,
    beam_program,
    docids_by_length,
    exhaustive_program,
    joint_program,
    query_program,
    token_program,
)
from gr2_jax.search.docid_vectors import (
    DocidVectors,
    VectorSettings,
    joined,
    vector_program,
    vectors_in_parts,
    write_vectors,
)
from gr2_jax.search.placement import Placement, divided_over_devices, on_every_device, params_on_devices, places_of
from gr2_jax.search.searcher import PLACES, Hit, Place, SearchOptions, check_depth, rows_among
from gr2_jax.search.traced_programs import kept_program

_WIDER = 4  # factor by which an adaptive search widens its beams and its list of the nearest
_PROGRAMS = (
    "beams",
    "joint",
    "exhaustive",
    "vector program",
    "query program",
    "tokens",
    "places",
)  # what is kept of a model whose parameters change
_READ_AT_ONCE = 10  # docids whose tokens are read in one call
_SMALL = (1, 8)  # queries per device of an accelerator's programs for few queries
_DEPTHS = (20, 100, 300, 1000)  # lists of these lengths are cut to shorter ones
_MAKING = threading.RLock()
_TOGETHER = threading.RLock()  # programs in which devices exchange must start in the same order on all of them
_DOCIDS_FOR_A_BEAM = 3  # docids that are scored at once in the time of one beam, which goes step by step


@dataclasses.dataclass(frozen=True, eq=False)
class Retriever:
    """A generative retriever: `retriever.search(["a query"], k=20)`. `gr2_jax.open_retriever` opens a run's.

    encode      texts -> tokens [Q, Tq], 0-padded
    doc_ids     row -> document id
    docid_texts row -> docid as text
    columns     [V] column of the model's logits for each token
    compares    how the model compares queries with docids; None: it was not trained to, and likelihood alone ranks
    vectors     the docids' vectors; without, or where `options` asks for another type, they are made at the first
                search that needs them
    allowed     the documents that may be found; None: all. See `only`.
    """

    model: GR2
    params: dict
    trie: DocidTrie
    columns: Int[np.ndarray, "V"]
    encode: Callable[[Sequence[str]], np.ndarray]
    doc_ids: Sequence[str]
    docid_texts: "DocidTexts"
    options: SearchOptions = dataclasses.field(default_factory=SearchOptions)
    compares: VectorSettings | None = None
    vectors: DocidVectors | None = None
    allowed: Bool[np.ndarray, "N"] | None = None
    _kept: dict = dataclasses.field(default_factory=dict, init=False, repr=False)  # programs and device arrays
    _chosen: dict = dataclasses.field(default_factory=dict, init=False, repr=False)  # device arrays of `allowed`

    @property
    def index_bytes(self) -> int:
        """Bytes that a search keeps of the corpus."""
        return self.trie.nbytes + (self.docid_vectors.nbytes if self.ranks_jointly else 0)

    @property
    def proves(self) -> bool:
        return self.options.length_penalty is None

    @property
    def ranks_jointly(self) -> bool:
        """Whether similarity counts; a length penalty and a weight of 0 rank by likelihood."""
        options = self.options
        asked = options.ranking == "joint" and options.weight > 0 and options.length_penalty is None
        return asked and self.compares is not None

    @property
    def docid_vectors(self) -> DocidVectors:
        """f_id of every document."""
        options, documents = self.options, self.trie.num_docids

        def make() -> DocidVectors:
            return joined(self._vectors_in_parts(), documents, options.vectors, self.model.config.d_model)

        return self._vectors_at_hand or self._keep(("vectors", options.vectors), make)

    def save_docid_vectors(self, directory: Path) -> None:
        """Writes `docid_vectors` for `DocidVectors.load`; those that are not made yet are made part by part and not
        kept."""
        if found := self._vectors_at_hand:
            found.save(directory)
        else:
            write_vectors(directory, self._vectors_in_parts(), self.options.vectors, self.model.config.d_model)

    def docid_vectors_writer(self) -> Callable[[Path, range, Callable[[int], None]], None]:
        """A function that makes the vectors of some rows and writes them, as `save_docid_vectors` does those of all; it
        calls another with how many more are done."""
        parts, dtype, width = self._vector_reader(), self.options.vectors, self.model.config.d_model
        return lambda directory, rows, advance: write_vectors(directory, parts(rows, advance), dtype, width)

    def join_docid_vectors(self, directory: Path, folders: Iterable[Path]) -> None:
        """Writes what `docid_vectors_writer` has written into some folders as one table."""
        write_vectors(directory, map(DocidVectors.load, folders), self.options.vectors, self.model.config.d_model)

    @property
    def _vectors_at_hand(self) -> DocidVectors | None:
        """Those that the options ask for, where they are opened or made already."""
        if self.vectors is not None and self.vectors.values.dtype.name == self.options.vectors:
            return self.vectors
        return self._kept.get(("vectors", self.options.vectors))

    def _vectors_in_parts(self) -> Iterator[DocidVectors]:
        documents = self.trie.num_docids
        with progress(documents, "vectors of docids") as bar:
            yield from self._vector_reader()(range(documents), bar.advance)

    def _vector_reader(self, of: Int[np.ndarray, "n"] | slice = slice(None)) -> Callable[..., Iterator[DocidVectors]]:
        """`vectors_in_parts` of some documents: takes a range of them, and what is told how many more are done."""
        name = ("vector program", self.options.parameters)
        read = self._keep(name, lambda: vector_program(self.model, self.compares, self._placement))
        docids = self.trie.docids_with_ends(of)
        return partial(vectors_in_parts, read, self._device_params, docids, self.options.vectors)

    def document_vectors(self, rows: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n F"]:
        """f_id of some documents; without a table of all, these alone are read."""
        if (found := self._vectors_at_hand) is not None:
            return found.of(rows)
        return np.concatenate([part.of(slice(None)) for part in self._vector_reader(rows)(range(len(rows)))])

    def query_vectors(self, queries: Sequence[str]) -> Float[np.ndarray, "Q F"]:
        """f_q of each query, which a search compares with `docid_vectors`; `UserError` for a model without vectors."""
        if self.compares is None:
            raise UserError("the model was not trained to compare vectors: it ranks by likelihood alone")
        name = ("query program", self.options.parameters)
        read = self._keep(name, lambda: query_program(self.model, self.compares.similarity, self._placement))
        return np.asarray(read(self._device_params, self.encode(queries)))[: len(queries)]

    @property
    def model_bytes(self) -> int:
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self.params))

    def with_options(self, **changes: Any) -> "Retriever":
        """The same model with other search options; compiled programs are shared. See `SearchOptions`."""
        other = dataclasses.replace(self, options=self.options.changed(**changes))
        object.__setattr__(other, "_kept", self._kept)
        object.__setattr__(other, "_chosen", self._chosen)
        return other

    def only(self, doc_ids: Collection[str]) -> "Retriever":
        """Beams follow only docids of these documents, and only they are near: no other is found, and what is proven is
        proven among them. All choices share the compiled programs."""
        allowed = rows_among(self.doc_ids, doc_ids, self.allowed)
        other = dataclasses.replace(self, trie=self.trie.only(allowed), allowed=allowed)
        object.__setattr__(other, "_kept", self._kept)
        return other

    def with_params(self, params: dict) -> "Retriever":
        """The same searches with other parameters of the same shapes, such as a later step's: nothing is recompiled."""
        other = dataclasses.replace(self, params=params, vectors=None)
        other._kept.update({name: kept for name, kept in self._kept.items() if name[0] in _PROGRAMS})
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
            if self._searched > options.exhaustive_limit:
                raise UserError(
                    f"exact 'exhaustive' would score {self._searched:,} docids for every query, more than "
                    f"exhaustive_limit, {options.exhaustive_limit:,}: use 'adaptive', or a higher limit"
                )
            return self._exhaustive(tokens, k)
        beams, nearest = self._widths(k)
        found = self._search(tokens, beams, nearest, k, whole_batches)
        return self._widened(found, tokens, k, whole_batches) if options.exact == "adaptive" else found

    def token_log_likelihoods(self, query: str, doc_ids: Sequence[str]) -> list[list[tuple[str, float]]]:
        """For each document, the tokens of its docid as text, the end ("") included, with log P(w_t | q, w_<t). Their
        sum is the docid's log-likelihood, up to rounding. `UserError` names a document that the corpus has not."""
        row_of = self._keep(("rows",), lambda: {doc_id: row for row, doc_id in enumerate(self.doc_ids)})
        if unknown := next((doc_id for doc_id in doc_ids if doc_id not in row_of), None):
            raise UserError(f"there is no document {unknown!r}")
        rows = [row_of[doc_id] for doc_id in doc_ids]
        docids = np.zeros((len(rows) + -len(rows) % _READ_AT_ONCE, self.trie.max_depth + 1), np.int32)
        for place, row in enumerate(rows):
            docid = self.docid_texts.docid(row)
            docids[place, : len(docid) + 1] = *docid, self.trie.eos_id
        name = ("tokens", self.options.parameters)
        read = self._keep(name, lambda: token_program(self.model, self.columns, self._placement))
        tokens = self.encode([query])
        parts = [read(self._device_params, tokens, part) for part in docids.reshape(-1, _READ_AT_ONCE, docids.shape[1])]
        found = [values for part in parts for values in np.asarray(part)[:_READ_AT_ONCE].tolist()]
        return [
            list(zip((*self.docid_texts.tokens(row), ""), values, strict=False))
            for row, values in zip(rows, found, strict=False)
        ]

    def _widths(self, k: int) -> tuple[int, int]:
        """Beams and the number of the nearest, together enough for k results."""
        options = self.options
        by_beams_alone = not self.ranks_jointly or options.candidates == "beams"
        beams = _depth(k) if by_beams_alone and k > options.beams else options.beams
        return beams, _depth(k) if k > options.nearest else options.nearest

    @property
    def _searched(self) -> int:
        """How many documents may be found."""
        return self.trie.num_docids if self.allowed is None else int(np.count_nonzero(self.allowed))

    def _widened(self, found: SearchResult, tokens: np.ndarray, k: int, whole_batches: bool) -> SearchResult:
        options, docids = self.options, self._searched
        beams, nearest = self._widths(k)
        unsure = np.flatnonzero(~found.all_proven)
        while unsure.size and beams < options.max_beams:
            beams, nearest = min(_WIDER * beams, options.max_beams), min(_WIDER * nearest, self.trie.num_docids)
            if docids <= min(options.exhaustive_limit, _DOCIDS_FOR_A_BEAM * beams):
                break
            again = self._search(tokens[unsure], beams, nearest, k, whole_batches)
            found = _replaced(found, unsure, again)
            unsure = unsure[~again.all_proven]
        if unsure.size and docids <= options.exhaustive_limit:
            found = _replaced(found, unsure, self._exhaustive(tokens[unsure], k))
        return found

    def _search(self, tokens: np.ndarray, beams: int, nearest: int, k: int, whole_batches: bool) -> SearchResult:
        """By both roads where the ranking is joint, else by the beams."""
        options = self.options
        batch = max(1, options.batch * options.beams // beams)

        def made(program: Callable[..., Program], **settings: Any) -> Program:
            arguments = self.model, Beams.over(self.trie, beams), self.columns
            # few queries are what a new process starts with
            return (program if whole_batches else partial(kept_program, program))(*arguments, **settings)

        if not self.ranks_jointly:
            settings = {"length_penalty": options.length_penalty}
            name = ("beams", beams, *settings.values(), *self._places, whole_batches)
            search = self._keep(name, lambda: made(beam_program, **settings, placement=self._placement))
            return self._in_batches(search, tokens, batch, self._device_trie, whole_batches).best(k)

        settings = {
            "nearest": min(nearest, self.trie.num_docids),
            "k": _depth(k),
            "candidates": options.candidates,
            "similarity": self.compares.similarity,
            "documents": self.trie.num_docids,
        }
        name = ("joint", beams, *settings.values(), *self._places, whole_batches)
        search = self._keep(name, lambda: made(joint_program, **settings, placement=self._placement))
        docids = self._table(options.table)._replace(trie=self._device_trie)
        found = self._in_batches(search, tokens, batch, docids, whole_batches)
        return found.best(k)

    def _exhaustive(self, tokens: np.ndarray, k: int) -> SearchResult:
        similarity = self.compares.similarity if self.ranks_jointly else None
        name, settings = ("exhaustive", _depth(k), similarity, self.options.parameters), (_depth(k), similarity)
        search = self._keep(name, lambda: exhaustive_program(self.model, self.columns, *settings, self._placement))
        docids = self._choose("docids", lambda: on_every_device(docids_by_length(self.trie, self.allowed)))
        docids = docids, self._table("replicated") if self.ranks_jointly else None
        # one query against many docids at once keeps a device busy
        with progress(len(tokens), "scoring every docid") as bar:
            return self._in_batches(search, tokens, 1, docids, True, bar.advance).best(k)

    def _table(self, how: Place) -> JointDocids:
        """What a joint search reads beside the trie."""

        def table() -> JointDocids:
            vectors = self.docid_vectors
            longest, nothing = np.float32(vectors.longest() * (1 + 1e-6)), np.float32(0)
            docids, arrays = self.trie.docids_with_ends(), vectors.arrays
            if how == "replicated":
                return on_every_device(JointDocids(None, docids, arrays, longest, nothing, nothing))
            docids, arrays = jax.tree.map(divided_over_devices, (docids, arrays))
            return JointDocids(None, docids, arrays, on_every_device(longest), nothing, nothing)

        kept = self._keep(("table", self.options.vectors, how), table)
        weight = np.float32(self.options.weight / self.compares.temperature)
        added = self.options.smoothing / len(self.doc_ids)
        floor = np.float32(math.log(added) if added else -math.inf)
        vectors = kept.vectors
        if self.allowed is not None:
            put = on_every_device if how == "replicated" else divided_over_devices
            vectors = vectors._replace(allowed=self._choose(f"allowed, {how}", lambda: put(self.allowed)))
        return kept._replace(vectors=vectors, weight=on_every_device(weight), floor=on_every_device(floor))

    @property
    def _device_trie(self) -> TrieArrays:
        how = self.options.trie
        put = on_every_device if how == "replicated" else partial(jax.tree.map, divided_over_devices)
        trie = self._keep(("trie", how), lambda: put(self.trie.arrays._replace(allowed_bits=None)))
        if self.allowed is None:
            return trie
        bits = self._choose(f"bits, {how}", lambda: put(self.trie.arrays.allowed_bits))
        return trie._replace(allowed_bits=bits)

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
        params, devices, parts, start = self._device_params, jax.local_device_count(), [], 0
        while start < len(tokens):
            left = len(tokens) - start
            size = devices * (batch if whole_batches else _batch_of(-(-left // devices), batch))
            piece = tokens[start : start + size]
            padded = np.pad(piece, [(0, size - len(piece)), (0, 0)])
            padded[len(piece) :, 0] = 1  # a padded query must attend to something
            with _TOGETHER if "sharded" in self._places else contextlib.nullcontext():
                parts.append(jax.tree.map(np.asarray, search(params, padded, docids)))
            start += len(piece)
            advance(len(piece))
        return jax.tree.map(lambda *pieces: np.concatenate(pieces)[: len(tokens)], *parts)

    @property
    def _device_params(self) -> Any:
        dtype, places = self.model.config.dtype, self._placement.params
        return self._keep(("params", self.options.parameters), lambda: params_on_devices(self.params, dtype, places))

    @property
    def _places(self) -> tuple[Place, ...]:
        return tuple(getattr(self.options, name) for name in PLACES)

    @property
    def _placement(self) -> Placement:
        table, trie, parameters = (how == "sharded" for how in self._places)
        return Placement(table, trie, self._keep(("places",), lambda: places_of(self.params)) if parameters else None)

    def _keep(self, name: tuple, make: Callable[[], Any]) -> Any:
        """What is made once, also where several threads search: for this retriever with all options and choices."""
        with _MAKING:
            if name not in self._kept:
                self._kept[name] = make()
            return self._kept[name]

    def _choose(self, name: str, make: Callable[[], Any]) -> Any:
        """The same, for these `allowed` documents."""
        with _MAKING:
            if name not in self._chosen:
                self._chosen[name] = make()
            return self._chosen[name]

    def _hits(self, result: SearchResult, query: int) -> list[Hit]:
        joint = result.log_likelihoods is not None
        parts = (result.log_likelihoods, result.similarities) if joint else ()
        columns = (result.rows, result.scores, result.valid, result.proven, *parts)
        return [
            Hit(self.doc_ids[row], self.docid_texts[row], float(score), bool(sure), *map(float, own))
            for row, score, valid, sure, *own in zip(*(column[query] for column in columns), strict=True)
            if valid
        ]


def _depth(k: int) -> int:
    """The length of the list from which k are cut: one program serves many lengths."""
    return next((depth for depth in _DEPTHS if depth >= k), k)


def _batch_of(queries: int, batch: int) -> int:
    """How many queries per device a program takes of those that are left. A CPU takes as long for a batch as for its
    queries one after the other, so that one program serves any small number; an accelerator does not."""
    if queries >= batch:
        return batch
    if jax.default_backend() == "cpu":
        return 1
    return next((size for size in _SMALL if queries <= size < batch), batch)


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
        return self._decode(self.docid(row))

    def docid(self, row: int) -> list[int]:
        """The docid's tokens, without its end."""
        docid = self._docids[row]
        return docid[docid != 0].tolist()

    def tokens(self, row: int) -> list[str]:
        """What each token adds to the docid's text, a blank before it included."""
        docid, texts, before = self.docid(row), [], ""
        for end in range(1, len(docid) + 1):
            text = self._decode(docid[:end])
            texts.append(text.removeprefix(before))
            before = text
        return texts


def _replaced(found: SearchResult, places: np.ndarray, by: SearchResult) -> SearchResult:
    def put(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        whole = np.array(old)
        whole[places] = new
        return whole

    return jax.tree.map(put, found, by)
