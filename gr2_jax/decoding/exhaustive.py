"""Every docid of the corpus scored for every query: slow, exact, and what beam search is measured against."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from gr2_jax.decoding.result import SearchResult

Best = tuple[Float[Array, "B k"], Int[Array, "B k"]]


def exhaustive_search(
    logits: Callable[[Int[Array, "n Ti"]], Float[Array, "B n Ti C"]],
    docids: Int[Array, "N Ti"],
    *,
    batch: int,
    k: int,
    chunk: int = 1024,
    columns: Int[Array, "V"] | None = None,
) -> SearchResult:
    """The k docids of the highest likelihood, sum over t of log P(w_t | q, w_<t); all of them proven.

    Args:
      logits: the model under teacher forcing: for n docids, the logits at each of their tokens, for each query.
      docids: ended by the end-of-docid token, padded with 0; row i is document i. Make it an argument of the jitted
        caller, as a trie.
      batch: B.
      k: results; equal scores go by row.
      chunk: n, docids scored at once; memory grows with B n Ti C.
      columns: as of `constrained_beam_search`.

    Returns:
      As `constrained_beam_search`; `pruned_bound` is the score of the best docid that is not returned.
    """
    count, length = docids.shape
    chunk = min(chunk, count)
    chunks = jnp.pad(jnp.asarray(docids, jnp.int32), ((0, -count % chunk), (0, 0))).reshape(-1, chunk, length)
    columns = None if columns is None else jnp.asarray(columns)

    def merge(i: Int[Array, ""], best: Best) -> Best:
        tokens = chunks[i]
        scores = jnp.where(tokens[:, 0] > 0, _log_likelihood(logits(tokens), tokens, columns), -jnp.inf)
        rows = jnp.broadcast_to(i * chunk + jnp.arange(chunk, dtype=jnp.int32), scores.shape)
        # of equal scores top-k takes the first, which is the one of the lower row
        top, index = lax.top_k(jnp.concatenate([best[0], scores], axis=1), k + 1)
        return top, jnp.take_along_axis(jnp.concatenate([best[1], rows], axis=1), index, axis=1)

    nothing = jnp.full((batch, k + 1), -jnp.inf, jnp.float32), jnp.full((batch, k + 1), -1, jnp.int32)
    scores, rows = lax.fori_loop(0, len(chunks), merge, nothing)
    valid = scores > -jnp.inf
    return SearchResult(jnp.where(valid, rows, -1), scores, valid, jnp.full((batch,), -jnp.inf)).best(k)


def _log_likelihood(
    logits: Float[Array, "B n Ti C"], tokens: Int[Array, "n Ti"], columns: Int[Array, "V"] | None
) -> Float[Array, "B n"]:
    logits = logits.astype(jnp.float32)
    to = tokens if columns is None else columns[tokens]
    chosen = jnp.take_along_axis(logits, jnp.broadcast_to(to, logits.shape[:-1])[..., None], axis=-1)[..., 0]
    log_probs = chosen - jax.nn.logsumexp(logits, axis=-1)
    return jnp.sum(jnp.where(tokens > 0, log_probs, 0.0), axis=-1)
