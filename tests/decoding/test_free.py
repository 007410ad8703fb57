from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_search import BATCH, EOS, empty_cache, make_step, next_history, plain_free, random_tables

from gr2_jax.decoding import beam_search

LENGTH = 4
WORDS = 4  # padding, EOS and two more
ALL = 31  # sequences of at most 4 tokens over those two, the last one EOS unless it is the fourth
BANNED = np.arange(WORDS) == 0
STATIC = ("beams", "length_penalty", "early_stopping", "max_length")


@partial(jax.jit, static_argnames=STATIC)
def search(tables, beams, banned=None, length_penalty=0.0, early_stopping="never", max_length=LENGTH):
    return beam_search(
        make_step(tables),
        empty_cache(tables.shape[0], beams),
        batch=tables.shape[0],
        beams=beams,
        max_length=max_length,
        banned=banned,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
    )


def assert_equal(tables, found, beams, **rule):
    sequences, scores = found
    for query in range(BATCH):
        hits = plain_free(tables[query], beams, LENGTH, {0}, **rule)
        padded = [[*path, *[0] * (LENGTH - len(path))] for _, path in hits]
        missing = beams - len(hits)
        assert sequences[query].tolist() == padded + [[0] * LENGTH] * missing
        np.testing.assert_allclose(scores[query], [score for score, _ in hits] + [-np.inf] * missing, atol=1e-5)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
@pytest.mark.parametrize(
    ("length_penalty", "early_stopping"),
    [(0.0, "never"), (0.0, True), (1.0, "never"), (1.0, False), (1.0, True), (-1.0, "never")],
)
def test_equals_a_plain_beam_search(seed, length_penalty, early_stopping):
    rule = {"length_penalty": length_penalty, "early_stopping": early_stopping}
    tables = random_tables(seed, columns=WORDS)
    assert_equal(tables, search(tables, 3, BANNED, **rule), 3, **rule)


def test_the_three_ways_of_stopping_differ():
    """Else the test above could not fail for a wrong `early_stopping`; without a penalty, two of the ways agree."""
    found = {}
    for early_stopping in ("never", False, True):
        runs = [search(random_tables(seed, columns=WORDS), 3, BANNED, 1.0, early_stopping)[0] for seed in range(20)]
        found[early_stopping] = np.asarray(runs).tobytes()
    assert len(set(found.values())) == 3


def test_enough_beams_give_all_sequences_best_first():
    tables = random_tables(5, columns=WORDS)
    sequences, scores = search(tables, ALL + 1, BANNED)
    assert_equal(tables, (sequences, scores), ALL + 1, length_penalty=0.0)
    for query in range(BATCH):
        assert len({tuple(s) for s in sequences[query].tolist()}) == ALL + 1  # the last one is empty, with score -inf
    assert np.isneginf(scores[:, -1]).all()


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_one_beam_is_greedy(seed):
    tables = random_tables(seed, columns=WORDS)
    sequences, _ = search(tables, 1, BANNED)
    for query in range(BATCH):
        history, last, greedy = 0, 0, []
        while len(greedy) < LENGTH and last != EOS:
            history = next_history(history, last, len(greedy))
            last = 1 + int(np.argmax(tables[query, history, 1:]))
            greedy.append(last)
        assert sequences[query, 0].tolist() == greedy + [0] * (LENGTH - len(greedy))


def test_an_end_that_ranks_below_the_beams_ends_nothing():
    # at first a word is likelier than the end; no sequence after that word is as likely as this end
    logits = np.full((2, WORDS), -20.0, np.float32)
    logits[0, [EOS, 2]] = np.log([0.4, 0.6])
    logits[1, [EOS, 2]] = np.log([0.5, 0.5])

    def step(tokens, position, cache):
        return jnp.asarray(logits)[jnp.minimum(tokens, 1)], cache

    one, score = beam_search(step, {}, batch=1, beams=1, max_length=3, banned=BANNED)
    assert one.tolist() == [[[2, EOS, 0]]]
    np.testing.assert_allclose(score, np.log([[0.3]]), atol=1e-5)
    two, scores = beam_search(step, {}, batch=1, beams=2, max_length=3, banned=BANNED)
    assert two.tolist() == [[[EOS, 0, 0], [2, EOS, 0]]]
    np.testing.assert_allclose(scores, np.log([[0.4, 0.3]]), atol=1e-5)


def test_without_a_ban_the_sequences_share_all_the_probability():
    _, scores = search(random_tables(6, columns=3), ALL)  # padding is a second word here
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0, rtol=1e-5)


def test_a_banned_end_token_runs_every_sequence_to_the_end():
    sequences, _ = search(random_tables(8, columns=WORDS), 3, np.arange(WORDS) < 2)
    assert (np.asarray(sequences) >= 2).all()


def test_sequences_of_one_token():
    tables = random_tables(9, columns=WORDS)
    sequences, scores = search(tables, 4, BANNED, max_length=1)
    for query in range(BATCH):
        hits = plain_free(tables[query], 4, 1, {0}, 0.0)
        assert sequences[query, :, 0].tolist() == [path[0] for _, path in hits] + [0]
        np.testing.assert_allclose(scores[query], [score for score, _ in hits] + [-np.inf], atol=1e-5)


@pytest.mark.parametrize("beams", [3, 5])
def test_ties_go_by_the_time_of_ending_then_by_parent_and_token(beams):
    tables = np.zeros_like(random_tables(0, columns=WORDS))  # no model at all: the score is the length
    assert_equal(tables, search(tables, beams, BANNED), beams, length_penalty=0.0)


def test_a_query_does_not_depend_on_its_batch():
    tables = random_tables(11, columns=WORDS)
    together = search(tables, 3, BANNED)
    for query in range(BATCH):
        sequences, scores = search(tables[query : query + 1], 3, BANNED)
        assert sequences[0].tolist() == together[0][query].tolist()
        np.testing.assert_allclose(scores[0], together[1][query], rtol=1e-6)


def count_steps(logits, beams, **rule):
    """The sequences of a model that always returns `logits`, and the number of its steps."""
    calls = []

    def step(tokens, position, cache):
        jax.debug.callback(lambda p: calls.append(int(p)), position)
        return jnp.broadcast_to(jnp.asarray(logits, jnp.float32), (*tokens.shape, WORDS)), cache

    sequences, _ = beam_search(step, {}, batch=1, beams=beams, max_length=7, banned=BANNED, **rule)
    jax.effects_barrier()
    assert sorted(calls) == list(range(len(calls)))
    return sequences[0].tolist(), len(calls)


@pytest.mark.parametrize(
    ("length_penalty", "early_stopping", "steps"),
    [(0.0, "never", 2), (0.0, False, 2), (1.0, "never", 4), (1.0, False, 2), (0.0, True, 2)],
)
def test_stops_when_no_live_beam_can_reach_the_results(length_penalty, early_stopping, steps):
    found, count = count_steps([0, 10, 0, 0], 2, length_penalty=length_penalty, early_stopping=early_stopping)
    # a word costs 10: the second result scores -10, or -10 / 2 per token; two words reach -20, four at best -40 / 7
    assert found == [[EOS, *[0] * 6], [2, EOS, *[0] * 5]]
    assert count == steps


def test_a_negative_penalty_stops_by_the_present_length():
    found, count = count_steps([-20, *np.log([0.3, 0.6, 0.1])], 2, length_penalty=-1.0)
    # after two steps 2 log 0.36 still beats 2 log 0.18, after three 3 log 0.216 does not
    assert found == [[EOS, *[0] * 6], [2, EOS, *[0] * 5]]
    assert count == 3


def test_a_tie_with_the_last_result_does_not_replace_it():
    assert count_steps([0, 0, 0, 0], 1) == ([[EOS, *[0] * 6]], 1)


def test_an_unknown_way_of_stopping_is_refused():
    with pytest.raises(ValueError, match=r'^early_stopping must be True, False or "never", not .Never.$'):
        beam_search(make_step(random_tables(0)), {}, batch=1, beams=1, max_length=1, early_stopping="Never")
