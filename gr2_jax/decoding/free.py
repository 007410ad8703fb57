"""Beam search over all sequences, for writing pseudo-queries."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.decoding.beams import Cache, Step, first_beam, keep_best, reorder


class _State(NamedTuple):
    """Between two steps; m live beams (1 at the start, then M) and M finished sequences, each best first."""

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
) -> tuple[Int[Array, "B M L"], Float[Array, "B M"]]:
    """Generates the M best sequences per query by log-likelihood / length ** length_penalty, best first.

    The length counts the end token. A sequence cut at `max_length` without one counts as finished. Every live beam may
    end at every step, whatever its rank. Equal scores: the sequence finished earlier, then the beam of higher rank.

    Args:
      step: the decoder, see `Step`; its columns are token ids.
      cache: its state before the first token; every leaf leads with [B, M] or [B, 1].
      batch: B.
      beams: M, sequences returned and hypotheses kept alive.
      max_length: L, tokens per sequence at most, end token included.
      eos_token: ends a sequence.
      start_token: what the decoder is fed first; not part of the sequence.
      banned: token ids never generated (padding); the other tokens' probabilities are left as they are.
      length_penalty: at least 0; 0 ranks by likelihood.

    Returns:
      Sequences, padded with 0 after the end token, and their scores; all 0 and -inf where fewer than M sequences exist.
    """
    advance = partial(
        _advance, step=step, beams=beams, eos_token=eos_token, banned=banned, length_penalty=length_penalty
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
    last = lax.while_loop(
        lambda state: (state.position < max_length) & jnp.any(state.scores > -jnp.inf), advance, advance(start)
    )
    return _merge_finished(last, last.sequences, last.scores / max_length**length_penalty)


def _advance(
    state: _State,
    *,
    step: Step,
    beams: int,
    eos_token: int,
    banned: Bool[Array, "V"] | None,
    length_penalty: float,
) -> _State:
    """Grows every live beam by one token."""
    logits, cache = step(state.tokens, state.position, state.cache)
    log_probs = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
    if banned is not None:
        log_probs = jnp.where(banned, -jnp.inf, log_probs)
    scores = state.scores[..., None] + log_probs

    length = (state.position + 1).astype(jnp.float32)
    ended = state.sequences.at[:, :, state.position].set(eos_token)
    finished, finished_scores = _merge_finished(state, ended, scores[..., eos_token] / length**length_penalty)

    batch, _, vocabulary = scores.shape
    kept, index, _ = keep_best(scores.at[..., eos_token].set(-jnp.inf).reshape(batch, -1), beams)
    parents, tokens = jnp.divmod(index, vocabulary)
    # likelihood only falls, so a beam can at best reach its own score divided by the largest length
    hopeless = kept / state.sequences.shape[2] ** length_penalty < finished_scores[:, -1:]
    return _State(
        position=state.position + 1,
        tokens=tokens,
        sequences=reorder(state.sequences, parents).at[:, :, state.position].set(tokens),
        scores=jnp.where(hopeless, -jnp.inf, kept),
        cache=reorder(cache, parents),
        finished=finished,
        finished_scores=finished_scores,
    )


def _merge_finished(
    state: _State, sequences: Int[Array, "B m L"], scores: Float[Array, "B m"]
) -> tuple[Int[Array, "B M L"], Float[Array, "B M"]]:
    """Returns the best M of the finished sequences and the new ones; of equal scores, those finished first."""
    both = jnp.concatenate([state.finished, sequences], axis=1)
    best, index, _ = keep_best(jnp.concatenate([state.finished_scores, scores], axis=1), state.finished.shape[1])
    return reorder(both, index), best
