from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_search import BATCH, EOS, empty_cache, make_step, plain_free, random_tables

from gr2_jax.decoding import beam_search

LENGTH = 4
WORDS = 4  # padding, EOS and two more
ALL = 31  # sequences of at most 4 tokens over those two, the last one EOS unless it is the fourth
BANNED = np.arange(WORDS) == 0


@partial(jax.jit, static_argnames=("beams", "length_penalty", "max_length"))
def search(tables, beams, banned=None, length_penalty=0.0, max_length=LENGTH):
    return beam_search(
        make_step(tables),
        empty_cache(tables.shape[0], beams),
        batch=tables.shape[0],
        beams=beams,
        max_length=max_length,
        banned=banned,
        length_penalty=length_penalty,
    )


def assert_equal(tables, found, beams, banned, length_penalty):
    sequences, scores = found
    for query in range(BATCH):
        hits = plain_free(tables[query], beams, LENGTH, banned, length_penalty)
        padded = [[*path, *[0] * (LENGTH - len(path))] for _, path in hits]
        missing = beams - len(hits)
        assert sequences[query].tolist() == padded + [[0] * LENGTH] * missing
        np.testing.assert_allclose(scores[query], [score for score, _ in hits] + [-np.inf] * missing, atol=1e-5)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_equals_a_plain_beam_search(seed, length_penalty):
    tables = random_tables(seed, columns=WORDS)
    assert_equal(tables, search(tables, 3, BANNED, length_penalty), 3, {0}, length_penalty)


def test_enough_beams_give_all_sequences_best_first():
    tables = random_tables(5, columns=WORDS)
    sequences, scores = search(tables, ALL + 1, BANNED)
    assert_equal(tables, (sequences, scores), ALL + 1, {0}, 0.0)
    for query in range(BATCH):
        assert len({tuple(s) for s in sequences[query].tolist()}) == ALL + 1  # the last one is empty, with score -inf
    assert np.isneginf(scores[:, -1]).all()


def test_without_a_ban_the_sequences_share_all_the_probability():
    _, scores = search(random_tables(6, columns=3), ALL)  # padding is a second word here
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0, rtol=1e-5)


def test_a_banned_end_token_runs_every_sequence_to_the_end():
    sequences, _ = search(random_tables(8, columns=WORDS), 3, np.arange(WORDS) < 2)
    assert (np.asarray(sequences) >= 2).all()


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_stops_when_no_live_beam_can_reach_the_results(length_penalty):
    calls = []

    def step(tokens, position, cache):
        jax.debug.callback(lambda p: calls.append(int(p)), position)
        return jnp.zeros((*tokens.shape, WORDS)).at[..., EOS].set(10.0), cache

    sequences, _ = beam_search(step, {}, batch=1, beams=2, max_length=7, banned=BANNED, length_penalty=length_penalty)
    jax.effects_barrier()
    # a word costs 10: the second result scores -10, or -10 / 2 per token; two words reach -20, four at best -40 / 7
    assert sequences[0, :, :3].tolist() == [[EOS, 0, 0], [2, EOS, 0]]
    assert sorted(calls) == ([0, 1] if length_penalty == 0 else list(range(4)))
