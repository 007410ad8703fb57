"""Scores every docid of the corpus for every query: slow and exact, the reference for beam search."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from gr2_jax.decoding.joint import smoothed
from gr2_jax.decoding.result import SearchResult
from gr2_jax.decoding.teacher_forced import log_likelihoods

Logits = Callable[[Int[Array, "n Ti"]], Float[Array, "B n Ti C"]]
Best = tuple[Array, ...]
"""-score and row of the best so far, [B, k+1] each; of a joint score also log P and similarity."""


def exhaustive_search(
    logits: Logits,
    docids: Int[Array, "N Ti"],
    rows: Int[Array, "N"] | None = None,
    *,
    batch: int,
    k: int,
    chunk: int = 1024,
    columns: Int[Array, "V"] | None = None,
    similarities: Callable[[Int[Array, "n"]], Float[Array, "B n"]] | None = None,
    weight: float | Float[Array, ""] = 0.0,
    floor: float | Float[Array, ""] = -jnp.inf,
) -> SearchResult:
    """The k docids of the highest likelihood, sum over t of log P(w_t | q, w_<t), or of the highest joint score; all of
    them proven.

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
      similarities: of given rows, for every query. With these the score is the joint one, log P + `weight` times
        similarity, see `rank_jointly`.
      weight: w / tau.
      floor: of the joint score, as in `rank_jointly`.

    Returns:
      As `constrained_beam_search`; `pruned_bound` is the score of the best docid that is not returned.
    """
    count, length = docids.shape
    chunk = -(-count // -(-count // chunk))  # the same number of chunks, of nearly equal size: little padding
    rows = jnp.arange(count, dtype=jnp.int32) if rows is None else jnp.asarray(rows, jnp.int32)
    docids = jnp.pad(jnp.asarray(docids), ((0, -count % chunk), (0, 0))).reshape(-1, chunk, length)
    rows = jnp.pad(rows, (0, -count % chunk), constant_values=-1).reshape(-1, chunk)
    columns = None if columns is None else jnp.asarray(columns)
    lengths = sorted({-(-length * quarters // 4) for quarters in (1, 2, 3, 4)})
    score = [partial(_log_likelihood, logits=logits, columns=columns, length=n) for n in lengths]

    def merge(i: Int[Array, ""], best: Best) -> Best:
        some = docids[i].astype(jnp.int32)
        longest = jnp.count_nonzero(some, axis=1).max()
        scores = lax.switch(jnp.sum(longest > jnp.array(lengths[:-1], jnp.int32)), score, some)
        parts = ()
        if similarities is not None:
            similar = similarities(jnp.maximum(rows[i], 0))
            parts, scores = (scores, similar), smoothed(scores, floor) + weight * similar
        new = (jnp.where(rows[i] < 0, jnp.inf, -scores), jnp.broadcast_to(rows[i], scores.shape), *parts)
        both = tuple(jnp.concatenate(pair, axis=1) for pair in zip(best, new, strict=True))
        return tuple(x[:, : k + 1] for x in lax.sort(both, dimension=1, num_keys=2))

    def filled(value: float, dtype=jnp.float32) -> Array:
        return jnp.full((batch, k + 1), value, dtype)

    nothing = (filled(jnp.inf), filled(-1, jnp.int32)) + ((filled(-jnp.inf), filled(0.0)) if similarities else ())
    falling, best_rows, *parts = lax.fori_loop(0, len(docids), merge, nothing)
    valid = falling < jnp.inf
    bound = jnp.full((batch,), -jnp.inf)
    return SearchResult(jnp.where(valid, best_rows, -1), -falling, valid, bound, *parts).best(k)


def _log_likelihood(
    docids: Int[Array, "n Ti"], *, logits: Logits, columns: Int[Array, "V"] | None, length: int
) -> Float[Array, "B n"]:
    tokens = docids[:, :length]
    return log_likelihoods(logits(tokens), tokens, columns)
