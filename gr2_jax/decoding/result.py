"""The result of every search."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class SearchResult(NamedTuple):
    """The best docids found for each query, best first; arrays of JAX or NumPy."""

    rows: Int[Array, "B M"]
    """Document rows; -1 where not valid."""
    scores: Float[Array, "B M"]
    """log P(docid | query), end-of-docid included; -inf where not valid."""
    valid: Bool[Array, "B M"]
    """False where fewer docids than beams were reached."""
    pruned_bound: Float[Array, "B"]
    """No docid that is missing from `rows` scores above this; -inf if none is missing."""

    @property
    def proven(self) -> Bool[Array, "B M"]:
        """The certificate: which results are provably at their true rank, up to the order of ties. They are those that
        score at least `pruned_bound`, a prefix of the list."""
        return self.valid & (self.scores >= self.pruned_bound[:, None])

    @property
    def all_proven(self) -> Bool[Array, "B"]:
        """Whether the whole list is the true top M, or all docids there are."""
        return self.scores[:, -1] >= self.pruned_bound

    def best(self, k: int) -> "SearchResult":
        """The first k results; `pruned_bound` then covers the results left out."""
        if k >= self.rows.shape[1]:
            return self
        bound = jnp.maximum(self.pruned_bound, self.scores[:, k])
        return SearchResult(self.rows[:, :k], self.scores[:, :k], self.valid[:, :k], bound)
