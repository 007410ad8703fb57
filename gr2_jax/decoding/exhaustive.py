"""Scores every docid of the corpus for every query: slow and exact, the reference for beam search."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from gr2_jax.decoding.result import SearchResult

Logits = Callable[[Int[Array, "n Ti"]], Float[Array, "B n Ti C"]]
Best = tuple[Float[Array, "B k"], Int[Array, "B k"]]


def exhaustive_search(
    logits: Logits,
    docids: Int[Array, "N Ti"],
    rows: Int[Array, "N"] | None = None,
    *,
    batch: int,
    k: int,
    chunk: int = 1024,
    columns: Int[Array, "V"] | None = None,
) -> SearchResult:
    """The k docids of the highest likelihood, sum over t of log P(w_t | q, w_<t); all of them proven.

    Args:
      logits: the model under teacher forcing: for n docids, the logits at each of their tokens, for each query. It is
        also called with docids cut to fewer than Ti tokens, if all docids of a chunk are shorter.
      docids: ended by the end-of-docid token, padded with 0. Docids sorted by length take the least time. Like a trie,
        they should be an argument of the jitted caller.
      rows: the document row of each docid; by default its index.
      batch: B.
      k: results; equal scores go by row.
      chunk: the most docids scored at once, n; memory grows with B n Ti C.
      columns: as in `constrained_beam_search`.

    Returns:
      As `constrained_beam_search`; `pruned_bound` is the score of the best docid that is not returned.
    """
    count, length = docids.shape
    chunk = -(-count // -(-count // chunk))  # the same number of chunks, of nearly equal size: little padding
    rows = jnp.arange(count, dtype=jnp.int32) if rows is None else jnp.asarray(rows, jnp.int32)
    docids = jnp.pad(jnp.asarray(docids, jnp.int32), ((0, -count % chunk), (0, 0))).reshape(-1, chunk, length)
    rows = jnp.pad(rows, (0, -count % chunk), constant_values=-1).reshape(-1, chunk)
    columns = None if columns is None else jnp.asarray(columns)
    lengths = sorted({-(-length * quarters // 4) for quarters in (1, 2, 3, 4)})
    score = [partial(_log_likelihood, logits=logits, columns=columns, length=n) for n in lengths]

    def merge(i: Int[Array, ""], best: Best) -> Best:
        longest = jnp.count_nonzero(docids[i], axis=1).max()
        scores = lax.switch(jnp.sum(longest > jnp.array(lengths[:-1], jnp.int32)), score, docids[i])
        falling = jnp.concatenate([best[0], jnp.where(rows[i] < 0, jnp.inf, -scores)], axis=1)
        both_rows = jnp.concatenate([best[1], jnp.broadcast_to(rows[i], scores.shape)], axis=1)
        falling, both_rows = lax.sort((falling, both_rows), dimension=1, num_keys=2)
        return falling[:, : k + 1], both_rows[:, : k + 1]

    nothing = jnp.full((batch, k + 1), jnp.inf, jnp.float32), jnp.full((batch, k + 1), -1, jnp.int32)
    falling, best_rows = lax.fori_loop(0, len(docids), merge, nothing)
    valid = falling < jnp.inf
    return SearchResult(jnp.where(valid, best_rows, -1), -falling, valid, jnp.full((batch,), -jnp.inf)).best(k)


def _log_likelihood(
    docids: Int[Array, "n Ti"], *, logits: Logits, columns: Int[Array, "V"] | None, length: int
) -> Float[Array, "B n"]:
    tokens = docids[:, :length]
    outputs = logits(tokens).astype(jnp.float32)
    to = tokens if columns is None else columns[tokens]
    chosen = jnp.take_along_axis(outputs, jnp.broadcast_to(to, outputs.shape[:-1])[..., None], axis=-1)[..., 0]
    log_probs = chosen - jax.nn.logsumexp(outputs, axis=-1)
    return jnp.sum(jnp.where(tokens > 0, log_probs, 0.0), axis=-1)
