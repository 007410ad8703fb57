"""Beam search over all sequences, for generating pseudo-queries."""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.decoding.beams import Cache, Step, first_beam, keep_best, reorder, stops


class _State(NamedTuple):
    """The state between two steps: m live beams (1 at the start, then M) and M finished sequences, each best first."""

    position: Int[Array, ""]
    tokens: Int[Array, "B m"]
    sequences: Int[Array, "B m L"]
    scores: Float[Array, "B m"]  # -inf: a dead beam
    cache: Cache
    finished: Int[Array, "B M L"]
    finished_scores: Float[Array, "B M"]


def beam_search(
    step: Step,
    cache: Cache,
    *,
    batch: int,
    beams: int,
    max_length: int,
    eos_token: int = 1,
    start_token: int = 0,
    banned: Bool[Array, "V"] | None = None,
    length_penalty: float = 0.0,
    early_stopping: bool | Literal["never"] = "never",
) -> tuple[Int[Array, "B M L"], Float[Array, "B M"]]:
    """Generates M sequences per query, ranked by log-likelihood / length ** length_penalty, best first.

    Sequences and scores equal those of Hugging Face's `generate`. At every step the live beams propose all their
    continuations. Those of the best M that end are finished and compete for the M results; the best M that do
    not end live on, so an end token that ranks below M ends nothing. At `max_length` every sequence ends. The length
    counts the end token. Ties go to the sequence finished earlier, then to the parent of higher rank, then to the lower
    token. One beam without a length penalty is greedy decoding.

    Args:
      step: the decoder, see `Step`; its columns are token ids.
      cache: the decoder's state before the first token; every leaf leads with [B, M] or [B, 1].
      batch: B.
      beams: M, sequences returned and hypotheses kept alive.
      max_length: L, tokens per sequence at most, end token included.
      eos_token: ends a sequence.
      start_token: what the decoder is fed first; not part of the sequence.
      banned: token ids never generated (padding); the other tokens' probabilities are left as they are.
      length_penalty: 0 ranks by likelihood; above 0 favours long sequences, below 0 short ones.
      early_stopping: when a query with M finished sequences stops. "never": when no live beam can still reach them,
        which changes no result. False, Hugging Face's default: when the best live beam's score at its present length is
        no better than the M-th; without a length penalty this equals "never", with one it may stop too early. True: at
        once.

    Returns:
      Sequences, padded with 0 after the end token, and their scores; 0 and -inf where fewer than M were found.

    Raises:
      ValueError: `early_stopping` is none of its three values.
    """
    if early_stopping not in (True, False, "never"):
        raise ValueError(f'early_stopping must be True, False or "never", not {early_stopping!r}')
    advance = partial(
        _advance,
        step=step,
        beams=beams,
        eos_token=eos_token,
        banned=banned,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
    )
    start = _State(
        position=jnp.int32(0),
        tokens=jnp.full((batch, 1), start_token, jnp.int32),
        sequences=jnp.zeros((batch, 1, max_length), jnp.int32),
        scores=jnp.zeros((batch, 1), jnp.float32),
        cache=first_beam(cache),
        finished=jnp.zeros((batch, beams, max_length), jnp.int32),
        finished_scores=jnp.full((batch, beams), -jnp.inf, jnp.float32),
    )
    last = lax.while_loop(lambda state: jnp.any(state.scores > -jnp.inf), advance, advance(start))
    return last.finished, last.finished_scores


def _advance(
    state: _State,
    *,
    step: Step,
    beams: int,
    eos_token: int,
    banned: Bool[Array, "V"] | None,
    length_penalty: float,
    early_stopping: bool | Literal["never"],
) -> _State:
    """Grows every live beam by one token."""
    logits, cache = step(state.tokens, state.position, state.cache)
    log_probs = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
    if banned is not None:
        log_probs = jnp.where(banned, -jnp.inf, log_probs)
    scores = state.scores[..., None] + log_probs

    # 2M include M that go on: each of the at most M beams has one end token
    best, index, _ = keep_best(scores.reshape(scores.shape[0], -1), 2 * beams)
    parents, tokens = jnp.divmod(index, scores.shape[2])
    sequences = reorder(state.sequences, parents).at[:, :, state.position].set(tokens)
    length, max_length = state.position + 1, sequences.shape[2]
    ends = (tokens == eos_token) | (length == max_length)

    ended = jnp.where(ends, best, -jnp.inf)[:, :beams] / length**length_penalty
    finished, finished_scores = _merge_finished(state, sequences[:, :beams], ended)
    kept, rank, _ = keep_best(jnp.where(ends, -jnp.inf, best), beams)

    over = stops(kept[:, 0], finished_scores[:, -1], length, max_length, length_penalty, early_stopping)
    return _State(
        position=length,
        tokens=jnp.take_along_axis(tokens, rank, axis=1),
        sequences=reorder(sequences, rank),
        # a query's beams die here rather than when the whole batch is done, so that its neighbours do not matter
        scores=jnp.where(over[:, None], -jnp.inf, kept),
        cache=reorder(cache, jnp.take_along_axis(parents, rank, axis=1)),
        finished=finished,
        finished_scores=finished_scores,
    )


def _merge_finished(
    state: _State, sequences: Int[Array, "B M L"], scores: Float[Array, "B M"]
) -> tuple[Int[Array, "B M L"], Float[Array, "B M"]]:
    """Returns the best M of the finished sequences and the new ones; of equal scores, those finished first."""
    both = jnp.concatenate([state.finished, sequences], axis=1)
    best, index, _ = keep_best(jnp.concatenate([state.finished_scores, scores], axis=1), state.finished.shape[1])
    return reorder(both, index), best
