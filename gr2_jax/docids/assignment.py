"""Gives every document a docid of its own (paper 4.1): the first free candidate of its list, or one with a suffix."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int32, UInt64

from gr2_jax.docids.candidates import SLICE, narrow, slices, stack
from gr2_jax.docids.suffixes import add_suffixes, as_digits
from gr2_jax.docids.taken import TakenDocids, first_free, hash_docids
from gr2_jax.errors import UserError

Lists = Int[np.ndarray, "S C T"]
Rows = Int[np.ndarray, "n"]


@dataclass(frozen=True, eq=False)
class Assignment:
    """Which docid each document got, and how."""

    docids: Int[np.ndarray, "N T"]
    """All different, none empty; 0-padded to the longest. uint16 where the tokens fit, else int32."""
    choices: Int32[np.ndarray, "N"]
    """The index of the docid in its candidate list, -1 where a suffix was needed."""
    samples: Int32[np.ndarray, "N"]
    """The candidate list used: 0 the document's first, k the k-th resampling's, -1 where a suffix was needed."""
    first_is_unique: int
    """Number of documents whose first candidate is no other document's first candidate, nor held by one; an empty one
    is not unique."""

    @cached_property
    def lengths(self) -> Int[np.ndarray, "N"]:
        """Tokens of each docid, without the end of the docid."""
        return np.count_nonzero(self.docids, axis=1)

    def figures(self) -> dict[str, float]:
        """Counts and shares for the report; lengths in tokens, without the end of the docid."""
        documents = len(self.docids)
        hashes = np.concatenate([hash_docids(self.docids[at : at + SLICE]) for at in range(0, documents, SLICE)])
        hashes.sort()  # equal docids have equal hashes, so a share of 1 is certain
        return {
            "documents": documents,
            "unique_share": (1 + int(np.count_nonzero(hashes[1:] != hashes[:-1]))) / documents,
            "unique_share_before": self.first_is_unique / documents,
            "needed_later_candidate": int(np.count_nonzero((self.choices > 0) & (self.samples == 0))),
            "needed_another_sample": int(np.count_nonzero(self.samples > 0)),
            "needed_suffix": int(np.count_nonzero(self.samples < 0)),
            "deepest_choice": int(self.choices.max()),
            "length_mean": float(self.lengths.mean()),
            "length_p95": float(np.percentile(self.lengths, 95)),
        }


def assign_unique(
    candidates: Iterable[Lists],
    *,
    suffix_tokens: Sequence[int],
    max_length: int | None = None,
    resample: Callable[[Rows, int], Iterable[Lists]] | None = None,
    resamples: int = 0,
    held: Int[np.ndarray, "M T"] | None = None,
) -> Assignment:
    """Goes through the documents in order and gives each the first docid of its list that is still free.

    Documents left without a docid go through `resamples` further passes with new lists. In a last pass, each document
    still left gets its base, the first candidate of its first list (nothing if that list is empty), with the shortest
    free suffix: a number spelled in the suffix tokens as a, b, aa, ab, ba, bb, aaa and so on.

    The result does not depend on how the documents are cut into shards. Memory holds the docids, at most 60 more bytes
    per document, another 60 for each document of the last pass, and the lists of one slice of documents. Docids are
    compared by 64-bit hashes: if two docids share a hash, a free docid looks taken, but no two documents ever get the
    same docid.

    Args:
      candidates: the documents' lists, in consecutive shards. A list is C docids [C, T], best first, each padded with
        0; empty docids are skipped. C and T may differ between shards.
      suffix_tokens: the digits of the suffix.
      max_length: longest docid, in tokens; longer candidates are cut, and a suffix that would not fit replaces the end
        of its base.
      resample: called with the rows left over, ascending, and the number of the pass, from 1; yields shards of new
        lists for exactly these rows, in this order.
      resamples: further passes, at most.
      held: docids that other documents have already, all different and 0-padded.

    Raises:
      UserError: no documents, a shard that is not such an array, suffix tokens that cannot count, a `max_length` below
        1, lists from `resample` for another number of documents than it was asked for, or `max_length` leaves no free
        docid.
    """
    digits = as_digits(suffix_tokens)
    if max_length is not None and max_length < 1:
        raise UserError(f"docids need a max_length of 1 token or more, not {max_length}")
    taken, given = TakenDocids(), deque()
    others = np.zeros(0, np.uint64) if held is None else hash_docids(held)
    taken.add(others)
    first = _first_pass(slices(candidates, max_length), taken, given, others)
    rows = first.rows
    for k in range(1, resamples + 1 if resample else 1):
        if rows.size:
            rows = _later_pass(k, rows, slices(resample(rows, k), max_length), taken, given)
    bases = first.bases[np.searchsorted(first.rows, rows)]
    for at, docids in add_suffixes(rows, bases, digits, max_length, taken):
        given.append(_Given(rows[at], narrow(docids), np.full(len(docids), -1, np.int32), 0))
    return Assignment(*_table(given, first.documents), first.unique)


class _Given(NamedTuple):
    """The docids that some documents got; an empty docid and a choice of -1 where a document got none."""

    rows: Rows | slice
    docids: Int[np.ndarray, "n T"]
    choices: Int32[np.ndarray, "n"]
    sample: int


class _Left(NamedTuple):
    """What later passes need from the first pass."""

    documents: int
    unique: int  # documents whose first candidate is unique
    rows: Rows  # documents without a docid
    bases: Int[np.ndarray, "n T"]  # their first candidates


def _first_pass(
    lists: Iterable[Lists], taken: TakenDocids, given: deque[_Given], others: UInt64[np.ndarray, "M"]
) -> _Left:
    documents, firsts, rows, bases = 0, [], [], []
    for block in lists:
        hashes = hash_docids(block)
        choices = first_free(hashes, taken)
        given.append(_Given(slice(documents, documents + len(block)), _chosen(block, choices), choices, 0))
        base = np.argmax(hashes != 0, axis=1)
        firsts.append(hashes[np.arange(len(block)), base])
        left = np.flatnonzero(choices < 0)
        rows.append(documents + left)
        bases.append(narrow(block[left, base[left]]))
        documents += len(block)
    if not documents:
        raise UserError("there are no documents to give docids to")
    wanted = np.concatenate(firsts)
    wanted[np.isin(wanted, others)] = 0  # as the empty docid, it counts as no unique one
    return _Left(documents, count_alone(wanted), np.concatenate(rows), stack(bases))


def _later_pass(k: int, rows: Rows, lists: Iterable[Lists], taken: TakenDocids, given: deque[_Given]) -> Rows:
    """Gives docids to `rows` from their new lists; returns the rows still left over."""
    seen, left = 0, []
    for block in lists:
        asked = rows[seen : seen + len(block)]
        seen += len(block)
        if seen > rows.size:
            break
        choices = first_free(hash_docids(block), taken)
        got = choices >= 0
        given.append(_Given(asked[got], _chosen(block[got], choices[got]), choices[got], k))
        left.append(asked[~got])
    if seen != rows.size:
        amount = f"{seen} or more" if seen > rows.size else seen
        raise UserError(f"resampling {k} gave lists for {amount} documents, but {rows.size} were asked for")
    return np.concatenate(left)


def _chosen(lists: Lists, choices: Int32[np.ndarray, "S"]) -> Int[np.ndarray, "S t"]:
    docids = lists[np.arange(len(lists)), choices]
    docids[choices < 0] = 0
    return narrow(docids)


def count_alone(hashes: UInt64[np.ndarray, "N"]) -> int:
    """How many of the hashes occur once, not counting the empty docid's."""
    hashes.sort()
    differs = np.concatenate([[True], hashes[1:] != hashes[:-1], [True]])
    return int(np.count_nonzero(differs[:-1] & differs[1:] & (hashes != 0)))


def _table(given: deque[_Given], documents: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Docids, choices and samples of all documents; empties `given` as it goes, so that docids are not held twice."""
    width = max(part.docids.shape[1] for part in given)
    docids = np.zeros((documents, width), reduce(np.promote_types, (part.docids.dtype for part in given)))
    choices, samples = np.empty((2, documents), np.int32)
    while given:
        part = given.popleft()  # later passes overwrite what the first left empty
        docids[part.rows, : part.docids.shape[1]] = part.docids
        choices[part.rows] = part.choices
        samples[part.rows] = np.where(part.choices < 0, -1, part.sample)
    return docids, choices, samples
