"""Beam search over the trie of all docids: retrieval, in one compiled program whose cost does not grow with the corpus.

At every step the children of all live beams' nodes (contiguous ranges of the trie's arrays) are scored by the
log-probability of their tokens, and the best M live on. A child reached by the end-of-docid edge is a complete docid:
it leaves the live beams and competes for a place among the M results.
"""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.decoding.beams import Cache, Step, first_beam, reorder, stops
from gr2_jax.decoding.children import edges_of, grow, take_ends
from gr2_jax.decoding.result import SearchResult
from gr2_jax.decoding.tails import follow
from gr2_jax.decoding.together import while_any
from gr2_jax.decoding.trie_arrays import TrieArrays, has_one_docid, row_of


class _Search(NamedTuple):
    """What no step changes; see `constrained_beam_search`."""

    step: Step
    trie: TrieArrays
    columns: Int[Array, "V"] | None
    beams: int
    axis: str | None


class _State(NamedTuple):
    """The state between two steps: m live beams (1 at the root, then M) and M finished docids, each best first."""

    position: Int[Array, ""]
    tokens: Int[Array, "B m"]
    nodes: Int[Array, "B m"]
    scores: Float[Array, "B m"]  # -inf: a dead beam
    cache: Cache
    rows: Int[Array, "B M"]
    row_scores: Float[Array, "B M"]
    bound: Float[Array, "B"]  # the best score of a pruned beam


def constrained_beam_search(
    step: Step,
    cache: Cache,
    trie: TrieArrays,
    *,
    batch: int,
    beams: int,
    max_length: int,
    widths: tuple[int, int],
    tail: int = 0,
    start_token: int = 0,
    columns: Int[Array, "V"] | None = None,
    length_penalty: float | None = None,
    early_stopping: bool | Literal["never"] = False,
    axis: str | None = None,
) -> SearchResult:
    """Finds the docids of the highest likelihood: sum over t of log P(w_t | q, w_<t), w_T the docid's end.

    The log-softmax is float32 over ALL the model's columns, so scores are likelihoods and comparable across tries.
    Likelihood only falls along a path, hence (a) the search stops when no live beam can reach the M-th result, and (b)
    the results that score at least `pruned_bound` are proven to be the true top, up to the order of ties.
    Ties: results are ordered by row; beams that compete for a place, by their parent's rank, then by token.

    Args:
      step: the decoder, see `Step`.
      cache: the decoder's state before the first token; every leaf leads with [B, M] or [B, 1]. It must have room for
        max_length + max(tail, 1) - 1 tokens.
      trie: the docids. Make it an argument of the jitted caller: arrays closed over become constants of the program.
      batch: B.
      beams: M, results returned and hypotheses kept alive.
      max_length: edges on the longest path, end included (`DocidTrie.max_depth`); longer docids are not found, but
        `pruned_bound` accounts for them.
      widths: the number of children of the root, and the most that any M other nodes of one level have together
        (`DocidTrie.widths(M)`); static. Smaller values lose docids.
      tail: once every live beam has only one docid left, this many of its tokens are scored per call of `step` instead
        of one; 0: never. The results are the same up to rounding. `step` must take tokens [B, M, R].
      start_token: what the decoder is fed first.
      columns: for a model whose output is a subset of the vocabulary, the column of each token id; every token of the
        trie must have one.
      length_penalty: if given, the search is that of Hugging Face's `generate` with `prefix_allowed_tokens_fn` instead
        of the paper's: it ranks by log-likelihood / length ** length_penalty, the length counts the end, and an end
        that is not among a step's best M is lost. No result is proven: `pruned_bound` is infinite.
      early_stopping: with a length penalty, when a query with M results stops; see `beam_search`.
      axis: the mesh axis of devices that exchange something in `step` or in reading the trie: all of them then take as
        many steps, and the result is the same.
    """
    trie, columns = jax.tree.map(jnp.asarray, (trie, columns))
    search = _Search(step, trie, columns, beams, axis)
    if length_penalty is None:
        advance = partial(_advance, search=search)
    else:
        tail = 0
        rule = partial(stops, max_length=max_length, length_penalty=length_penalty, early_stopping=early_stopping)
        advance = partial(_advance_by_length, search=search, length_penalty=length_penalty, stops=rule)
    root = _State(
        position=jnp.int32(0),
        tokens=jnp.full((batch, 1), start_token, jnp.int32),
        nodes=jnp.zeros((batch, 1), jnp.int32),
        scores=jnp.zeros((batch, 1), jnp.float32),
        cache=first_beam(cache),
        rows=jnp.full((batch, beams), -1, jnp.int32),
        row_scores=jnp.full((batch, beams), -jnp.inf, jnp.float32),
        bound=jnp.full((batch,), -jnp.inf if length_penalty is None else jnp.inf, jnp.float32),
    )

    def goes_on(state: _State, *, until_tails: bool) -> Bool[Array, ""]:
        live = state.scores > -jnp.inf
        if until_tails:
            live &= ~has_one_docid(trie, state.nodes)
        return (state.position < max_length) & jnp.any(live)

    last = while_any(
        partial(goes_on, until_tails=tail > 0), partial(advance, most=widths[1]), advance(root, most=widths[0]), axis
    )
    if tail:
        go_down = partial(_follow_tails, search=search, tail=tail, max_length=max_length)
        last = while_any(partial(goes_on, until_tails=False), go_down, last, axis)
    # a beam still alive is longer than max_length; anything else that was dropped cannot reach the last result
    bound = jnp.stack([last.bound, last.scores.max(axis=1), last.row_scores[:, -1]]).max(axis=0)
    return SearchResult(last.rows, last.row_scores, last.rows >= 0, bound)


def _advance(state: _State, *, search: _Search, most: int) -> _State:
    """Grows every live beam by one edge."""
    step, trie, columns, beams, axis = search
    logits, cache = step(state.tokens, state.position, state.cache)
    edges = edges_of(trie, state.nodes, state.scores, logits)
    end_row, end_score, edges = take_ends(trie, edges, columns)
    rows, row_scores = _merge_finished(state, end_row, end_score)
    grown = grow(trie, edges, columns, beams, most, axis)
    return _State(
        position=state.position + 1,
        tokens=trie.token[grown.nodes].astype(jnp.int32),
        nodes=grown.nodes,
        scores=_without_hopeless(grown.scores, row_scores),
        cache=reorder(cache, grown.parents),
        rows=rows,
        row_scores=row_scores,
        bound=jnp.maximum(state.bound, grown.best_left_out),
    )


def _follow_tails(state: _State, *, search: _Search, tail: int, max_length: int) -> _State:
    """Moves every live beam `tail` edges further down its only docid."""
    step, trie, columns, *_ = search
    along = follow(trie, state.nodes, jnp.minimum(tail, max_length - state.position), tail)
    tokens = jnp.concatenate([state.tokens[..., None], along.tokens[..., :-1]], axis=-1)
    logits, cache = step(tokens, state.position, state.cache)
    logits = logits.astype(jnp.float32)
    to = along.tokens if columns is None else columns[along.tokens]
    log_probs = jnp.take_along_axis(logits, to[..., None], axis=-1)[..., 0] - jax.nn.logsumexp(logits, axis=-1)
    scores = state.scores
    for i in range(tail):  # in the order in which single steps would add them
        scores = scores + jnp.where(along.moves[..., i], log_probs[..., i], 0.0)
    end_row = jnp.where(state.scores > -jnp.inf, row_of(trie, along.nodes), -1)
    rows, row_scores = _merge_finished(state, end_row, jnp.where(end_row >= 0, scores, -jnp.inf))
    return state._replace(
        position=state.position + tail,
        tokens=trie.token[along.nodes].astype(jnp.int32),
        nodes=along.nodes,
        scores=_without_hopeless(jnp.where(end_row >= 0, -jnp.inf, scores), row_scores),
        cache=cache,
        rows=rows,
        row_scores=row_scores,
    )


def _advance_by_length(state: _State, *, search: _Search, most: int, length_penalty: float, stops) -> _State:
    """Hugging Face's rules: of the best M children, those that end become results; the best M others live on."""
    step, trie, columns, beams, axis = search
    logits, cache = step(state.tokens, state.position, state.cache)
    edges = edges_of(trie, state.nodes, state.scores, logits)
    grown = grow(trie, edges, columns, 2 * beams, most, axis)  # 2M include M that go on: each beam has at most one end
    end_row = row_of(trie, grown.nodes)
    length = state.position + 1
    ended = jnp.where((end_row >= 0) & (grown.scores > -jnp.inf), grown.scores, -jnp.inf)[:, :beams]
    rows, row_scores = _merge_finished(state, end_row[:, :beams], ended / length**length_penalty)
    alive, rank = lax.top_k(jnp.where(end_row >= 0, -jnp.inf, grown.scores), beams)
    parents, nodes = (jnp.take_along_axis(x, rank, axis=1) for x in (grown.parents, grown.nodes))
    over = stops(alive[:, 0], row_scores[:, -1], length)
    return state._replace(
        position=length,
        tokens=trie.token[nodes].astype(jnp.int32),
        nodes=nodes,
        scores=jnp.where(over[:, None], -jnp.inf, alive),
        cache=reorder(cache, parents),
        rows=rows,
        row_scores=row_scores,
    )


def _without_hopeless(scores: Float[Array, "B M"], row_scores: Float[Array, "B M"]) -> Float[Array, "B M"]:
    """The beams' scores, -inf where below the last result: likelihood only falls. A beam that ties with that result may
    still end in a lower row. Beams die here rather than when the whole batch is done, so that a query does not depend
    on its neighbours in the batch."""
    return jnp.where(scores < row_scores[:, -1:], -jnp.inf, scores)


def _merge_finished(
    state: _State, end_row: Int[Array, "B m"], end_score: Float[Array, "B m"]
) -> tuple[Int[Array, "B M"], Float[Array, "B M"]]:
    """Returns the best M of the finished docids and the new ones, by score, then row."""
    beams = state.rows.shape[1]
    scores = jnp.concatenate([state.row_scores, end_score], axis=1)
    rows = jnp.concatenate([state.rows, jnp.where(end_score > -jnp.inf, end_row, -1)], axis=1)
    falling, rows = lax.sort((-scores, rows), dimension=1, num_keys=2)
    return rows[:, :beams], -falling[:, :beams]
