"""The compiled searches of a retrieval model, by beams or over every docid, on all devices of this process.

Every device runs the same program on its own queries, with model and docids replicated. Devices exchange nothing, each
stops when its own queries are done, and a query's result is the same bytes on any number of devices.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Int

from gr2_jax.decoding import SearchResult, TrieArrays, constrained_beam_search, exhaustive_search
from gr2_jax.decoding.devices import local_devices, on_each_device
from gr2_jax.docids import DocidTrie
from gr2_jax.models import GR2, empty_cache

Program = Callable[[Any, Int[Array, "Q Tq"], Any], SearchResult]
"""(parameters, query tokens, docids) -> result; Q is a multiple of the number of devices."""

DocidsAndRows = tuple[Int[np.ndarray, "N Ti"], Int[np.ndarray, "N"]]

# Token by token, 20 beams of one query are bound by memory bandwidth; rows beyond these cost their full time.
_ROWS_AT_ONCE, _LONGEST_TAIL = 160, 8
_EXHAUSTIVE_LOGITS = 1 << 24  # held in memory at once
_SPLIT = (False, True, False)  # only the queries are split over devices


def on_every_device(tree: Any) -> Any:
    """Replicates the arrays on every device of this process; arrays of several processes must be replicated already."""
    everywhere = NamedSharding(local_devices(), PartitionSpec())

    def put(value: Any) -> Array:
        if isinstance(value, jax.Array) and not value.is_fully_addressable:
            value = value.addressable_data(0)
        return jax.device_put(value, everywhere)

    return jax.tree.map(put, tree)


def beam_program(
    model: GR2, trie: DocidTrie, columns: Int[np.ndarray, "V"], beams: int, length_penalty: float | None
) -> Program:
    """The best docids that the beams find; takes `TrieArrays` as docids."""
    return on_each_device(beam_search_function(model, trie, columns, beams, length_penalty), _SPLIT)


def beam_search_function(
    model: GR2, trie: DocidTrie, columns: Int[np.ndarray, "V"], beams: int, length_penalty: float | None
) -> Program:
    """`beam_program` for one device, before compilation."""
    depth, widths = trie.max_depth, trie.widths(beams)

    def search(params: Any, tokens: Int[Array, "B Tq"], arrays: TrieArrays) -> SearchResult:
        apply = functools.partial(model.apply, {"params": params})
        memory = apply(tokens, method="memory")
        batch = len(tokens)
        tail = min(_LONGEST_TAIL, depth, _ROWS_AT_ONCE // (batch * beams))
        return constrained_beam_search(
            lambda last, position, cache: apply(last, position, cache, memory, method="step"),
            empty_cache(model.config, batch, 1, depth + max(tail, 1) - 1),
            arrays,
            batch=batch,
            beams=beams,
            max_length=depth,
            widths=widths,
            tail=tail if tail > 1 else 0,
            columns=jnp.asarray(columns),
            length_penalty=length_penalty,
        )

    return search


def exhaustive_program(model: GR2, columns: Int[np.ndarray, "V"], k: int) -> Program:
    """The best k of all docids; takes `docids_by_length` as docids."""

    def search(params: Any, tokens: Int[Array, "B Tq"], docids: DocidsAndRows) -> SearchResult:
        apply = functools.partial(model.apply, {"params": params})
        states, mask = apply(tokens, method="encode"), tokens != 0
        outputs = model.config.vocab_size if model.docid_vocabulary is None else len(model.docid_vocabulary)
        return exhaustive_search(
            lambda some: apply(states, mask, some, method="docid_logits_of"),
            *docids,
            batch=len(tokens),
            k=k,
            chunk=max(1, _EXHAUSTIVE_LOGITS // (len(tokens) * docids[0].shape[1] * outputs)),
            columns=jnp.asarray(columns),
        )

    return on_each_device(search, _SPLIT)


def docids_by_length(trie: DocidTrie) -> DocidsAndRows:
    """The docids with their ends, 0-padded, shortest first, and the row of each."""
    docids = np.pad(trie.docids().astype(np.int32), [(0, 0), (0, 1)])
    lengths = np.count_nonzero(docids, axis=1)
    docids[np.arange(len(docids)), lengths] = trie.eos_id
    rows = np.argsort(lengths, kind="stable").astype(np.int32)
    return docids[rows], rows
