"""What everything that searches has in common: what it returns, how it is asked, and the options of a beam search."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from gr2_jax.errors import UserError, nearest

Exact = Literal["no", "adaptive", "exhaustive"]
_EXACT = ("no", "adaptive", "exhaustive")
_MOST = 10_000  # beams of a search, and documents of a list


@dataclasses.dataclass(frozen=True)
class Hit:
    """One retrieved document; `score` is log P(docid | query). `exact`: no document missing above it can score more."""

    doc_id: str
    docid: str
    score: float
    exact: bool


@dataclasses.dataclass(frozen=True)
class SearchOptions:
    """How to search; results are ranked by likelihood, as in the paper.

    beams             hypotheses kept alive; with more, fewer documents are missed
    batch             queries per device and call; with wider beams than these, fewer
    exact             "no": a list is what the beams find, and each hit says whether it is proven. "adaptive": lists
                      that are not proven are searched again with 4 times the beams, up to `max_beams`, and at last,
                      in a corpus of at most `exhaustive_limit` documents, by scoring all; at once where the wider
                      search would cost more. "exhaustive": by scoring all, up to the same limit.
    length_penalty    ranks as Hugging Face's `generate` does, by log-likelihood / length ** length_penalty; no proof
    """

    beams: int = 20
    batch: int = 50
    exact: Exact = "no"
    max_beams: int = 1000
    exhaustive_limit: int = 300_000
    length_penalty: float | None = None

    def __post_init__(self):
        if not 1 <= self.beams <= _MOST or not 1 <= self.max_beams <= _MOST:
            raise UserError(f"a search keeps 1 to {_MOST:,} beams, not {self.beams} to {self.max_beams}")
        if self.batch < 1:
            raise UserError(f"a search takes at least 1 query at a time, not {self.batch}")
        if self.exact not in _EXACT:
            raise UserError(f"exact is '{self.exact}': {nearest(self.exact, _EXACT)}")
        if self.length_penalty is not None and not math.isfinite(self.length_penalty):
            raise UserError(f"length_penalty is {self.length_penalty}: it must be a number")
        if self.length_penalty is not None and self.exact != "no":
            raise UserError("a length penalty does not rank by likelihood, and nothing can be proven: use exact 'no'")


class Searcher(Protocol):
    """A `Retriever`, several of them read together (`Views`), or vectors (`DenseIndex`)."""

    @property
    def options(self) -> Any:
        """A dataclass whose `batch` says how many queries a device takes at once."""

    @property
    def index_bytes(self) -> int:
        """What a search keeps of the corpus."""

    @property
    def model_bytes(self) -> int: ...

    def with_options(self, **changes: Any) -> "Searcher":
        """The same, searching otherwise. Raises `UserError` for an option that it does not have."""

    def search(self, queries: Sequence[str], k: int = 20, *, whole_batches: bool = False) -> list[list[Hit]]:
        """The best `k` documents of each query, best first; fewer where there are fewer. With `whole_batches` a list
        does not depend, byte for byte, on what else is asked in the same call."""


def check_depth(k: int) -> None:
    """Raises UserError for a number of documents that no search returns."""
    if not 1 <= k <= _MOST:
        raise UserError(f"a search returns 1 to {_MOST:,} documents, not {k}")
