"""The result of every search."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


class SearchResult(NamedTuple):
    """The best docids found for each query, best first; arrays of JAX or NumPy."""

    rows: Int[Array, "B M"]
    """Document rows; -1 where not valid."""
    scores: Float[Array, "B M"]
    """log P(docid | query), end-of-docid included, or the joint score; -inf where not valid."""
    valid: Bool[Array, "B M"]
    """False where fewer docids than beams were reached."""
    pruned_bound: Float[Array, "B"]
    """No docid that is missing from `rows` scores above this; -inf if none is missing."""
    log_likelihoods: Float[Array, "B M"] | None = None
    """Of a joint score, log P(docid | query)."""
    similarities: Float[Array, "B M"] | None = None
    """Of a joint score, sim(f_q, f_id)."""

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
        maximum = np.maximum if isinstance(self.scores, np.ndarray) else jnp.maximum  # NumPy's compiles nothing
        bound = maximum(self.pruned_bound, self.scores[:, k])
        first = SearchResult(*(None if field is None else field[:, :k] for field in self._replace(pruned_bound=None)))
        return first._replace(pruned_bound=bound)

    def padded(self, k: int) -> "SearchResult":
        """With at least k places, the further ones not valid."""
        places = [(0, 0), (0, max(0, k - self.rows.shape[1]))]

        def pad(values, fill):
            return None if values is None else jnp.pad(values, places, constant_values=fill)

        return SearchResult(
            pad(self.rows, -1),
            pad(self.scores, -jnp.inf),
            pad(self.valid, False),
            self.pruned_bound,
            pad(self.log_likelihoods, -jnp.inf),
            pad(self.similarities, 0.0),
        )
