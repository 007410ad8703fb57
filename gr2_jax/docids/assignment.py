"""Giving every document a docid of its own (paper 4.1): the next free candidate of its list, at last a suffix."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from gr2_jax.errors import UserError

Docid = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Assignment:
    """Which docid each document got, and how."""

    docids: tuple[Docid, ...]
    """All different, none empty."""
    choices: Int[np.ndarray, "N"]
    """The place of the docid in the document's list of candidates, -1 where a suffix was needed."""
    first_is_unique: int
    """Documents whose first candidate is no other document's first candidate."""

    def figures(self) -> dict[str, float]:
        """Counts and shares for the report; lengths in tokens, without the end of the docid."""
        lengths = [len(docid) for docid in self.docids]
        return {
            "documents": len(self.docids),
            "unique_share": len(set(self.docids)) / len(self.docids),
            "unique_share_before": self.first_is_unique / len(self.docids),
            "needed_later_candidate": int(np.count_nonzero(self.choices > 0)),
            "needed_suffix": int(np.count_nonzero(self.choices < 0)),
            "length_mean": float(np.mean(lengths)),
            "length_p95": float(np.percentile(lengths, 95)),
        }


def assign_unique(
    candidates: Sequence[Sequence[Docid]], *, suffix_tokens: Sequence[int], max_length: int | None = None
) -> Assignment:
    """Goes through the documents in order and gives each the first docid in its list that is still free.

    A document whose candidates are all taken gets its first one with the shortest free suffix: a number counted in base
    len(suffix_tokens) and spelled in those tokens. Empty candidates are passed over; a document without any gets the
    suffix alone.

    Args:
      candidates: for each document, its docids in order of preference.
      suffix_tokens: the digits of the suffix.
      max_length: longest docid, in tokens; longer candidates are cut, and a suffix that would not fit replaces the end
        of its candidate.

    Raises:
      UserError: no documents, no or repeated suffix tokens, or `max_length` leaves no free docid.
    """
    if not candidates:
        raise UserError("there are no documents to give docids to")
    if not suffix_tokens or len(set(suffix_tokens)) < len(suffix_tokens):
        raise UserError(f"suffix tokens must be one or more different tokens, not {list(suffix_tokens)}")
    taken: set[Docid] = set()
    next_suffix: Counter[Docid] = Counter()  # everything before it is taken, so identical documents cost O(1) each
    firsts: Counter[Docid] = Counter()
    docids, choices = [], []
    for document, listed in enumerate(candidates):
        cut = [tuple(candidate[:max_length]) for candidate in listed]
        first = next(filter(None, cut), ())
        firsts[first] += 1
        choice = next((i for i, docid in enumerate(cut) if docid and docid not in taken), -1)
        docid = cut[choice] if choice >= 0 else None
        while docid is None or docid in taken:
            docid = _with_suffix(first, next_suffix[first], suffix_tokens, max_length, document)
            next_suffix[first] += 1
        taken.add(docid)
        docids.append(docid)
        choices.append(choice)
    first_is_unique = sum(count == 1 for docid, count in firsts.items() if docid)
    return Assignment(tuple(docids), np.array(choices, np.int32), first_is_unique)


def _with_suffix(base: Docid, number: int, tokens: Sequence[int], max_length: int | None, document: int) -> Docid:
    """Returns `base` with the suffix of this number, counted from 0: a, b, aa, ab, ba, bb, aaa and so on."""
    suffix: Docid = ()
    number += 1
    while number:
        number, digit = divmod(number - 1, len(tokens))
        suffix = (tokens[digit], *suffix)
    if max_length is None:
        return base + suffix
    if len(suffix) > max_length:
        raise UserError(
            f"document {document} gets no docid: all suffixes of at most {max_length} tokens (max_length) are taken"
        )
    return base[: max_length - len(suffix)] + suffix
