"""What all searchers share: their interface, their results, and the options of a search."""

import abc
import copy
import dataclasses
from collections.abc import Collection, Sequence
from typing import Any, Literal, Protocol, Self

import numpy as np
from jaxtyping import Bool, Real

from gr2_jax.errors import SettingError, UserError, check_choices, check_least, nearest

Candidates = Literal["both", "beams", "nearest"]
VectorType = Literal["float32", "bfloat16", "int8"]
Place = Literal["replicated", "sharded"]
Exact = Literal["no", "adaptive", "exhaustive"]
PLACES = ("table", "trie", "parameters")
"""The options that say where something is, and change no result."""
LATER = ("smoothing",)
"""Options that runs and bundles of before do not have: at its default each leaves a search what it was."""

_MOST = 10_000  # upper limit of beams, and of documents in a list


@dataclasses.dataclass(frozen=True)
class Hit:
    """One retrieved document. `proven`: no document missing above it scores more.

    score    log P(docid | query) or, where a row ranks jointly, `log_likelihood` + w `similarity` / tau, the first
             smoothed where `SearchOptions.smoothing` says so
    """

    doc_id: str
    docid: str
    score: float
    proven: bool
    log_likelihood: float | None = None
    similarity: float | None = None


@dataclasses.dataclass(frozen=True)
class SearchOptions:
    """How to search.

    ranking           "joint": by log P(docid | query) + weight * sim(f_q, f_id) / tau, the model's likelihood and Eq.
                      4's logit, where the model was trained to compare queries with docids; "likelihood": by the
                      first alone, as in the paper
    weight            w of the joint score; 0 is the likelihood
    smoothing         in the joint score each of N docids counts as likely as P + smoothing / N, so that one which the
                      model takes for impossible can still be found by its similarity; 0 is P itself
    candidates        of a joint ranking: "beams", the docids that the beams find; "nearest", the docids nearest to f_q,
                      without a beam search; "both"
    nearest           how many of the nearest
    vectors           type of the table of docid vectors
    table             of docids and their vectors: "replicated" on every device, or "sharded", divided over the devices
                      of each process, which exchange queries and what they found; for tables that no device can hold
    trie              the same for the trie of docids: every step of the beams is then an exchange
    parameters        the same for the model: its layers are gathered one after the other, at every step of the beams
    beams             hypotheses kept at each step; more beams miss fewer documents
    batch             queries per device and call; fewer when a search widens its beams
    exact             "no": the list that is found; each hit says whether it is proven. "adaptive": an unproven list is
                      searched again with 4 times the beams and the nearest, up to `max_beams`. After that, or once it
                      would cost more, all docids are scored, in a corpus of at most `exhaustive_limit` documents.
                      "exhaustive": all docids are scored, up to the same limit.
    max_beams         beams of the widest search of "adaptive"
    exhaustive_limit  documents of the largest corpus whose docids are all scored
    length_penalty    ranks as Hugging Face's `generate` does, by log-likelihood / length ** length_penalty; no hit is
                      proven
    """

    ranking: Literal["joint", "likelihood"] = "joint"
    weight: float = 1.0
    smoothing: float = 0.0
    candidates: Candidates = "both"
    nearest: int = 100
    vectors: VectorType = "float32"
    table: Place = "replicated"
    trie: Place = "replicated"
    parameters: Place = "replicated"
    beams: int = 20
    batch: int = 50
    exact: Exact = "no"
    max_beams: int = 1000
    exhaustive_limit: int = 300_000
    length_penalty: float | None = None

    def changed(self, **changes: Any) -> "SearchOptions":
        """With other values; raises `UserError` for an option that there is not."""
        known = {field.name for field in dataclasses.fields(self)}
        if unknown := next((name for name in changes if name not in known), None):
            raise UserError(f"a search has no option '{unknown}': {nearest(unknown, known)}")
        return dataclasses.replace(self, **changes)

    def __post_init__(self):
        check_choices(self)
        check_least(self, 1, "beams", "batch", "max_beams", "nearest")
        check_least(self, 0, "exhaustive_limit", "weight", "smoothing")
        for name in ("beams", "max_beams"):
            if getattr(self, name) > _MOST:
                raise SettingError(self, name, f"is {getattr(self, name)}: a search keeps at most {_MOST:,} beams")
        if self.length_penalty is not None:
            check_least(self, -_MOST, "length_penalty")
            if self.exact != "no":
                raise SettingError(
                    self,
                    "exact",
                    f"is '{self.exact}': with length_penalty hits are not ranked by likelihood and nothing can be "
                    "proven; use 'no'",
                )


class Searcher(Protocol):
    """A `Retriever`, several of them combined (`Views`), vectors (`DenseIndex`), words (`TextIndex`), or another
    searcher's lists ranked anew (`Reranked`)."""

    @property
    def options(self) -> Any:
        """A dataclass whose `batch` says how many queries a device takes at once."""

    @property
    def proves(self) -> bool:
        """Whether a hit can be proven. Where lists are joined or ranked anew it cannot."""

    @property
    def index_bytes(self) -> int:
        """Bytes that a search keeps of the corpus."""

    @property
    def model_bytes(self) -> int: ...

    def with_options(self, **changes: Any) -> "Searcher":
        """The same searcher with other options; raises `UserError` for an option that it does not have."""

    def only(self, doc_ids: Collection[str]) -> "Searcher":
        """The same searcher, which finds of its documents these alone; a hit is proven among them."""

    def search(self, queries: Sequence[str], k: int = 20, *, whole_batches: bool = False) -> list[list[Hit]]:
        """The best `k` documents of each query, best first; fewer if the corpus has fewer. With `whole_batches` a
        list is the same bytes whatever other queries are in the call."""


def check_depth(k: int) -> None:
    """Raises UserError for a list length `k` that no search returns."""
    if not 1 <= k <= _MOST:
        raise UserError(f"a search returns 1 to {_MOST:,} documents, not {k}")


@dataclasses.dataclass(frozen=True)
class BatchOptions:
    """batch: queries that a device takes at once."""

    batch: int = 64

    def __post_init__(self):
        check_least(self, 1, "batch")


class TextIndex(abc.ABC):
    """A `Searcher` that compares the words of a query with every document: it has no model, and every hit is proven."""

    options = BatchOptions()
    model_bytes = 0
    proves = True
    _doc_ids: Sequence[str]
    _allowed: Bool[np.ndarray, " N"] | None = None

    @property
    @abc.abstractmethod
    def index_bytes(self) -> int: ...

    @abc.abstractmethod
    def search(self, queries: Sequence[str], k: int = 20, *, whole_batches: bool = False) -> list[list[Hit]]: ...

    def with_options(self, **changes: Any) -> "TextIndex":
        """Takes none: every document is compared, there are no beams and nothing to prove."""
        for name in changes:
            raise UserError(f"a row that compares every document has no '{name}': that is for rows that write docids")
        return self

    def only(self, doc_ids: Collection[str]) -> Self:
        """The same index, which finds these documents alone: words weigh as they did."""
        other = copy.copy(self)
        other._allowed = rows_among(self._doc_ids, doc_ids, self._allowed)
        return other

    def _best(self, scores: Real[np.ndarray, " N"], k: int) -> list[Hit]:
        check_depth(k)
        scores = scores if self._allowed is None else np.where(self._allowed, scores, 0)
        return [Hit(doc_id, "", score, proven=True) for doc_id, score in best_first(self._doc_ids, scores, k)]


def rows_among(
    all_ids: Sequence[str], doc_ids: Collection[str], before: Bool[np.ndarray, " N"] | None = None
) -> Bool[np.ndarray, " N"]:
    """Whether each of all documents is one of those, and was allowed before."""
    chosen = doc_ids if isinstance(doc_ids, set | frozenset) else set(doc_ids)
    found = np.fromiter((doc_id in chosen for doc_id in all_ids), bool, len(all_ids))
    return found if before is None else found & before


def best_first(doc_ids: Sequence[str], scores: Real[np.ndarray, " N"], k: int) -> list[tuple[str, float]]:
    """Returns the `k` best of the documents that score above 0, equal scores in the order of the documents.

    Args:
        doc_ids: N document ids.
        scores: Higher is better.
        k: The longest list to return.
    """
    found = np.flatnonzero(scores > 0)
    order = found[np.argsort(-scores[found], kind="stable")[:k]]
    return [(doc_ids[i], float(scores[i])) for i in order]
