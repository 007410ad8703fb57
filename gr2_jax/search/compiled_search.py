"""The compiled searches of a retrieval model, by beams or over every docid, on all devices of this process.

Every device runs the same program on its own queries, and stops when they are done. Model, trie, and the table of
docids and vectors are whole on each device or divided over all, which then exchange what they need, see `Placement`. A
query's result is the same bytes on any number of devices, also where model and trie are divided; the products with a
divided table have another shape, and a similarity may differ by its rounding.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.decoding import SearchResult, TrieArrays, constrained_beam_search, exhaustive_search
from gr2_jax.decoding.devices import AXIS, on_each_device
from gr2_jax.decoding.divided import Divided, nearest_over
from gr2_jax.decoding.joint import rank_jointly
from gr2_jax.decoding.nearest import Vectors, nearest_docids, similarities_of_all, similarities_of_each
from gr2_jax.decoding.teacher_forced import log_likelihoods, token_log_likelihoods
from gr2_jax.docids import DocidTrie
from gr2_jax.models import GR2, empty_cache
from gr2_jax.search.docid_vectors import Similarity, unit_length
from gr2_jax.search.placement import WHOLE, Placement
from gr2_jax.search.searcher import Candidates

Program = Callable[[Any, Int[Array, "Q Tq"], Any], SearchResult]
"""(parameters, query tokens, docids) -> result; Q is a multiple of the number of devices."""

DocidsAndRows = tuple[Int[np.ndarray, "N Ti"], Int[np.ndarray, "N"]]

# Token by token, 20 beams of one query are bound by memory bandwidth; rows beyond these cost their full time.
_ROWS_AT_ONCE, _LONGEST_TAIL = 160, 8
_LOGITS = 1 << 24  # held in memory at once


class Beams(NamedTuple):
    """How many beams search a trie, and what of the trie the compiled search is made for: its depth, the children of
    its root, and the most that `count` other nodes of one level have together."""

    count: int
    depth: int
    widths: tuple[int, int]

    @classmethod
    def over(cls, trie: DocidTrie, count: int) -> "Beams":
        return cls(count, trie.max_depth, trie.widths(count))


def beam_program(
    model: GR2,
    beams: Beams,
    columns: Int[np.ndarray, "V"],
    *,
    length_penalty: float | None = None,
    placement: Placement = WHOLE,
    mesh: Mesh | None = None,
) -> Program:
    """The best docids that the beams find; takes `TrieArrays` as docids. `mesh` as in `on_each_device`."""
    search_memory = _beam_search(model, beams, columns, placement, length_penalty)

    def search(params: Any, tokens: Int[Array, "B Tq"], arrays: TrieArrays) -> SearchResult:
        apply = placement.applied(model, params)
        return search_memory(apply, apply(tokens, method="memory"), len(tokens), arrays)

    return on_each_device(search, (placement.params_split, True, placement.trie), mesh)


def _beam_search(
    model: GR2,
    beams: Beams,
    columns: Int[np.ndarray, "V"],
    placement: Placement,
    length_penalty: float | None = None,
) -> Callable[[Callable, Any, int, TrieArrays], SearchResult]:
    """(the model's apply, the queries' memory, their number, trie) -> the docids that the beams find."""

    def search(apply: Callable, memory: Any, batch: int, arrays: TrieArrays) -> SearchResult:
        count, depth, widths = beams
        tail = min(_LONGEST_TAIL, depth, _ROWS_AT_ONCE // (batch * count))
        return constrained_beam_search(
            lambda last, position, cache: apply(last, position, cache, memory, method="step"),
            empty_cache(model.config, batch, 1, depth + max(tail, 1) - 1),
            placement.readable(arrays),
            batch=batch,
            beams=count,
            max_length=depth,
            widths=widths,
            tail=tail if tail > 1 else 0,
            columns=jnp.asarray(columns),
            length_penalty=length_penalty,
            axis=placement.axis,
        )

    return search


def joint_program(
    model: GR2,
    beams: Beams,
    columns: Int[np.ndarray, "V"],
    *,
    nearest: int,
    k: int,
    candidates: Candidates,
    similarity: Similarity,
    documents: int,
    placement: Placement = WHOLE,
) -> Program:
    """The best k by the joint score, of what the beams find and of the `nearest` docids; takes `JointDocids`."""
    search_memory = None if candidates == "nearest" else _beam_search(model, beams, columns, placement)
    places, divided = jnp.asarray(columns), placement.table

    def take(table: Array, rows: Int[Array, "B n"]) -> Array:
        return Divided(table, AXIS)[rows] if divided else table[rows]

    def search(params: Any, tokens: Int[Array, "B Tq"], docids: JointDocids) -> SearchResult:
        apply = placement.applied(model, params)
        states, mask = apply(tokens, method="encode"), tokens != 0
        vectors = _query_vectors(apply, states, mask, similarity)
        by_beams = near = None
        if search_memory is not None:
            by_beams = search_memory(apply, apply(states, mask, method="memory_of"), len(tokens), docids.trie)
        if candidates != "beams" and divided:
            near = nearest_over(AXIS, vectors, docids.vectors, documents, nearest)
        elif candidates != "beams":
            near = nearest_docids(vectors, docids.vectors, nearest)

        def log_likelihoods_of(some: Int[Array, "B n T"]) -> Float[Array, "B n"]:
            return log_likelihoods(apply(states, mask, some, method="docid_logits_of_each"), some, places)

        room = _LOGITS // (len(tokens) * docids.docids.shape[1] * _outputs(model))
        return rank_jointly(
            by_beams,
            near,
            log_likelihoods=lambda rows: _in_parts(
                log_likelihoods_of, take(docids.docids, rows).astype(jnp.int32), most=max(1, room)
            ),
            similarities=lambda rows: similarities_of_each(
                vectors, jax.tree.map(lambda x: take(x, rows), docids.vectors)
            ),
            weight=docids.weight,
            documents=documents,
            k=k,
            largest=docids.longest * jnp.linalg.norm(vectors, axis=-1),
            floor=docids.floor,
        )

    docids = JointDocids(placement.trie, divided, divided, False, False, False)
    return on_each_device(search, (placement.params_split, True, docids))


def exhaustive_program(
    model: GR2,
    columns: Int[np.ndarray, "V"],
    k: int,
    similarity: Similarity | None = None,
    placement: Placement = WHOLE,
) -> Program:
    """The best k of all docids; takes (`docids_by_length`, `JointDocids`), the second with a `similarity`, which makes
    the score the joint one, and else None. Both are whole on every device."""

    def search(params: Any, tokens: Int[Array, "B Tq"], docids: tuple[DocidsAndRows, "JointDocids | None"]):
        apply = placement.applied(model, params)
        states, mask = apply(tokens, method="encode"), tokens != 0
        by_length, joint = docids
        options = {}
        if similarity is not None:
            vectors = _query_vectors(apply, states, mask, similarity)
            options = {"similarities": lambda rows: similarities_of_all(vectors, joint.vectors, rows)}
            options |= {"weight": joint.weight, "floor": joint.floor}
        return exhaustive_search(
            lambda some: apply(states, mask, some, method="docid_logits_of"),
            *by_length,
            batch=len(tokens),
            k=k,
            chunk=max(1, _LOGITS // (len(tokens) * by_length[0].shape[1] * _outputs(model))),
            columns=jnp.asarray(columns),
            **options,
        )

    return on_each_device(search, (placement.params_split, True, False))


def token_program(
    model: GR2, columns: Int[np.ndarray, "V"], placement: Placement = WHOLE
) -> Callable[[Any, Int[Array, "1 Tq"], Int[Array, "n T"]], Float[Array, "n T"]]:
    """(parameters, tokens of one query, docids with their ends) -> log P(w_t | q, w_<t) of the docids' tokens, once
    from each device."""

    def read(params: Any, tokens: Int[Array, "1 Tq"], docids: Int[Array, "n T"]) -> Float[Array, "n T"]:
        apply = placement.applied(model, params)
        logits = apply(apply(tokens, method="encode"), tokens != 0, docids, method="docid_logits_of")
        return token_log_likelihoods(logits[0], docids, jnp.asarray(columns))

    return on_each_device(read, (placement.params_split, False, False))


class JointDocids(NamedTuple):
    """What a joint search reads of the corpus: the trie, docids with their ends by row, their vectors, the length of
    the longest vector, w / tau, and the log of what is added to every likelihood. The trie and the table of docids and
    vectors are placed as `Placement` says."""

    trie: TrieArrays | None
    docids: Int[np.ndarray, "N T"]
    vectors: Vectors
    longest: Float[np.ndarray, ""]
    weight: Float[np.ndarray, ""]
    floor: Float[np.ndarray, ""]


def docids_by_length(trie: DocidTrie, allowed: Bool[np.ndarray, "N"] | None = None) -> DocidsAndRows:
    """The docids with their ends, shortest first, and the row of each. Of some alone, those that are allowed, and of
    the others as many as make their number a power of two, with row -1: they count for nothing, and few shapes are
    compiled."""
    docids = trie.docids_with_ends()
    rows = np.argsort(np.count_nonzero(docids, axis=1), kind="stable").astype(np.int32)
    if allowed is None:
        return docids[rows], rows
    first = np.argsort(~allowed[rows], kind="stable")[: 1 << int(np.count_nonzero(allowed)).bit_length()]
    chosen = rows[np.sort(first)]
    return docids[chosen], np.where(allowed[chosen], chosen, -1).astype(np.int32)


def query_program(
    model: GR2, similarity: Similarity, placement: Placement = WHOLE
) -> Callable[[Any, Int[Array, "B Tq"]], Float[Array, "B F"]]:
    """(parameters, queries' tokens) -> f_q of each, once from each device."""

    def read(params: Any, tokens: Int[Array, "B Tq"]) -> Float[Array, "B F"]:
        apply = placement.applied(model, params)
        return _query_vectors(apply, apply(tokens, method="encode"), tokens != 0, similarity)

    return on_each_device(read, (placement.params_split, False))


def _query_vectors(apply: Callable, states: Array, mask: Array, similarity: Similarity) -> Float[Array, "B F"]:
    vectors = apply(states, mask, method="query_vectors").astype(jnp.float32)
    return unit_length(vectors) if similarity == "cosine" else vectors


def _outputs(model: GR2) -> int:
    return model.config.vocab_size if model.docid_vocabulary is None else len(model.docid_vocabulary)


def _in_parts(function: Callable[[Array], Array], docids: Int[Array, "B n T"], *, most: int) -> Float[Array, "B n"]:
    """`function` of at most `most` docids of each query at a time, one part after the other."""
    batch, count, length = docids.shape
    parts = -(-count // most)
    if parts == 1:
        return function(docids)
    size = -(-count // parts)
    padded = jnp.pad(docids, [(0, 0), (0, parts * size - count), (0, 0)])
    padded = padded.reshape(batch, parts, size, length).swapaxes(0, 1)
    return jax.lax.map(function, padded).swapaxes(0, 1).reshape(batch, -1)[:, :count]
