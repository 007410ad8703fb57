"""Beam search over the trie of all docids: retrieval, in one compiled program whose cost does not grow with the corpus.

At every step each live beam looks up its node's children (a contiguous range of the trie's arrays), adds the
log-probability of each child's token, and the best M children over all beams live on. A child reached by the
end-of-docid edge is a complete docid: it leaves the live beams and competes for a place among the M results.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.decoding.beams import Cache, Step, first_beam, keep_best, reorder
from gr2_jax.decoding.trie_arrays import TrieArrays, first_child, row_of


class SearchResult(NamedTuple):
    """The best docids found for each query, best first."""

    rows: Int[Array, "B M"]
    """Document rows; -1 where not valid."""
    scores: Float[Array, "B M"]
    """log P(docid | query), end-of-docid included; -inf where not valid."""
    valid: Bool[Array, "B M"]
    """False where fewer docids than beams were reached."""
    pruned_bound: Float[Array, "B"]
    """The best score of any hypothesis ever dropped, -inf if none was: no docid missing from `rows` scores above it."""


class _State(NamedTuple):
    """Between two steps; m live beams (1 at the root, then M) and M finished docids, each best first."""

    position: Int[Array, ""]
    tokens: Int[Array, "B m"]
    nodes: Int[Array, "B m"]
    scores: Float[Array, "B m"]  # -inf: a dead beam
    cache: Cache
    rows: Int[Array, "B M"]
    row_scores: Float[Array, "B M"]
    bound: Float[Array, "B"]


def constrained_beam_search(
    step: Step,
    cache: Cache,
    trie: TrieArrays,
    *,
    batch: int,
    beams: int,
    max_length: int,
    widths: tuple[int, int],
    start_token: int = 0,
    columns: Int[Array, "V"] | None = None,
) -> SearchResult:
    """Finds the docids a model gives the highest likelihood, sum over t of log P(w_t | q, w_<t), w_T being the end.

    The log-softmax is float32 over ALL the model's columns, so scores are likelihoods and compare across tries.
    Likelihood only falls along a path, hence (a) the search stops when no live beam can reach the M-th result, and (b)
    the results that score at least `pruned_bound` are proven to be the true top, up to the order of equal scores.
    Equal scores: results go by row; beams that compete for a place go by their parent's rank, then by token.

    Args:
      step: the decoder, see `Step`.
      cache: its state before the first token; every leaf leads with [B, M] or [B, 1].
      trie: the docids. Make it an argument of the jitted caller: arrays closed over become constants of the program.
      batch: B.
      beams: M, results returned and hypotheses kept alive.
      max_length: edges on the longest path, end included (`DocidTrie.max_depth`); docids that are longer are not found,
        but `pruned_bound` accounts for them.
      widths: the most children of the root, and of any other node (`DocidTrie.widths`); static. Larger is slower,
        smaller loses docids.
      start_token: what the decoder is fed first.
      columns: for a model whose output is a subset of the vocabulary, the column of each token id; each token of the
        trie must have one.
    """
    trie, columns = jax.tree.map(jnp.asarray, (trie, columns))
    advance = partial(_advance, step=step, trie=trie, columns=columns, beams=beams)
    root = _State(
        position=jnp.int32(0),
        tokens=jnp.full((batch, 1), start_token, jnp.int32),
        nodes=jnp.zeros((batch, 1), jnp.int32),
        scores=jnp.zeros((batch, 1), jnp.float32),
        cache=first_beam(cache),
        rows=jnp.full((batch, beams), -1, jnp.int32),
        row_scores=jnp.full((batch, beams), -jnp.inf, jnp.float32),
        bound=jnp.full((batch,), -jnp.inf, jnp.float32),
    )
    last = lax.while_loop(
        lambda state: (state.position < max_length) & jnp.any(state.scores > -jnp.inf),
        partial(advance, width=widths[1]),
        advance(root, width=widths[0]),
    )
    bound = jnp.maximum(last.bound, last.scores.max(axis=1))
    return SearchResult(last.rows, last.row_scores, last.rows >= 0, bound)


def _advance(
    state: _State, *, step: Step, trie: TrieArrays, columns: Int[Array, "V"] | None, beams: int, width: int
) -> _State:
    """Grows every live beam by one edge."""
    logits, cache = step(state.tokens, state.position, state.cache)
    children, scores = _score_children(logits, state, trie, columns, width)

    end_row = row_of(trie, children[..., 0])  # only a first child can be an end
    end_score = jnp.where(end_row >= 0, scores[..., 0], -jnp.inf)
    rows, row_scores, best_lost_row = _merge_finished(state, end_row, end_score)

    alive = scores.at[..., 0].set(jnp.where(end_row >= 0, -jnp.inf, scores[..., 0]))
    kept, index, best_lost_beam = keep_best(alive.reshape(alive.shape[0], -1), beams)
    nodes = jnp.take_along_axis(children.reshape(alive.shape[0], -1), index, axis=1)

    # Strictly below the last result: a beam that ties with it may still end in a lower row. Beams die here rather than
    # when the whole batch is done, so that a query's result and bound do not depend on its neighbours in the batch.
    hopeless = kept < row_scores[:, -1:]
    best_hopeless = jnp.where(hopeless, kept, -jnp.inf).max(axis=1)
    bound = jnp.stack([state.bound, best_lost_row, best_lost_beam, best_hopeless]).max(axis=0)
    return _State(
        position=state.position + 1,
        tokens=trie.token[nodes].astype(jnp.int32),
        nodes=nodes,
        scores=jnp.where(hopeless, -jnp.inf, kept),
        cache=reorder(cache, index // width),
        rows=rows,
        row_scores=row_scores,
        bound=bound,
    )


def _score_children(
    logits: Float[Array, "B m C"], state: _State, trie: TrieArrays, columns: Int[Array, "V"] | None, width: int
) -> tuple[Int[Array, "B m W"], Float[Array, "B m W"]]:
    """Returns the children of each beam's node and the score of each; -inf where a node has fewer than `width`."""
    first = first_child(trie, state.nodes)
    count = first_child(trie, state.nodes + 1) - first
    place = jnp.arange(width, dtype=jnp.int32)
    exists = place < count[..., None]
    children = jnp.where(exists, first[..., None] + place, 0)
    tokens = trie.token[children].astype(jnp.int32)
    logits = logits.astype(jnp.float32)
    chosen = jnp.take_along_axis(logits, tokens if columns is None else columns[tokens], axis=-1)
    # log-softmax of the few columns needed; the log-sum is at least the largest logit, so no edge raises a score
    log_probs = chosen - jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    return children, state.scores[..., None] + jnp.where(exists, log_probs, -jnp.inf)


def _merge_finished(
    state: _State, end_row: Int[Array, "B m"], end_score: Float[Array, "B m"]
) -> tuple[Int[Array, "B M"], Float[Array, "B M"], Float[Array, "B"]]:
    """Returns the best M of the finished docids and the new ones, by score, then row, and the best score left out."""
    beams = state.rows.shape[1]
    scores = jnp.concatenate([state.row_scores, end_score], axis=1)
    rows = jnp.concatenate([state.rows, jnp.where(end_score > -jnp.inf, end_row, -1)], axis=1)
    falling, rows = lax.sort((-scores, rows), dimension=1, num_keys=2)
    return rows[:, :beams], -falling[:, :beams], -falling[:, beams]
