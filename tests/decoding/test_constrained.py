from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_search import (
    BATCH,
    EOS,
    LONGEST,
    MOST,
    VOCABULARY,
    brute_force,
    docid_sets,
    empty_cache,
    make_step,
    plain_by_length,
    plain_constrained,
    random_tables,
    trie_arrays,
)

from gr2_jax.decoding import constrained_beam_search
from gr2_jax.docids import DocidTrie

FEW = 3
WIDTHS = (VOCABULARY, MOST)
TAILS = (0, 2, LONGEST)
EARLY = ("never", False, True)
few_examples = settings(max_examples=40, deadline=None, derandomize=True)
seeds = st.integers(0, 2**31)


@partial(jax.jit, static_argnames=("beams", "max_length", "widths", "tail", "length_penalty", "early_stopping"))
def search(tables, trie, beams, columns=None, max_length=LONGEST + 1, widths=WIDTHS, **options):
    """Compiles once per number of beams: all tries of these tests have the same shape."""
    return constrained_beam_search(
        make_step(tables),
        empty_cache(tables.shape[0]),
        trie,
        batch=tables.shape[0],
        beams=beams,
        max_length=max_length,
        widths=widths,
        columns=columns,
        **options,
    )


def assert_hits(result, query, hits, beams):
    """`hits` are (score, row), best first, at most `beams`."""
    missing = beams - len(hits)
    assert result.rows[query].tolist() == [row for _, row in hits] + [-1] * missing
    assert result.valid[query].tolist() == [True] * len(hits) + [False] * missing
    np.testing.assert_allclose(result.scores[query], [score for score, _ in hits] + [-np.inf] * missing, atol=1e-5)


@few_examples
@given(docids=docid_sets, seed=seeds, tail=st.sampled_from(TAILS))
def test_enough_beams_equal_brute_force(docids, seed, tail):
    tables = random_tables(seed)
    result = search(tables, trie_arrays(docids), MOST, tail=tail)
    for query in range(BATCH):
        assert_hits(result, query, brute_force(tables[query], docids), MOST)
    # nothing was dropped, and the bound says so
    np.testing.assert_array_equal(result.pruned_bound, result.scores[:, -1])


@few_examples
@given(docids=docid_sets, seed=seeds, tail=st.sampled_from(TAILS))
def test_few_beams_equal_a_plain_beam_search(docids, seed, tail):
    tables = random_tables(seed)
    result = search(tables, trie_arrays(docids), FEW, tail=tail)
    for query in range(BATCH):
        assert_hits(result, query, plain_constrained(tables[query], docids, FEW), FEW)


def count_proven(result, query):
    return int(np.sum(result.valid[query] & (result.scores[query] >= result.pruned_bound[query])))


@few_examples
@given(docids=docid_sets, seed=seeds, max_length=st.sampled_from([2, LONGEST + 1]), tail=st.sampled_from(TAILS))
def test_results_above_the_bound_are_the_true_top(docids, seed, max_length, tail):
    tables = random_tables(seed)
    result = search(tables, trie_arrays(docids), FEW, max_length=max_length, tail=tail)
    for query in range(BATCH):
        truth = brute_force(tables[query], docids)
        proven = count_proven(result, query)
        assert result.rows[query, :proven].tolist() == [row for _, row in truth[:proven]]
        left_out = [score for score, row in truth if row not in result.rows[query].tolist()]
        assert max(left_out, default=-np.inf) <= result.pruned_bound[query] + 1e-5


@few_examples
@given(docids=docid_sets, seed=seeds, length_penalty=st.sampled_from([0.0, 1.0, 2.5]), early=st.sampled_from(EARLY))
def test_by_length_equals_a_plain_search_by_the_same_rules(docids, seed, length_penalty, early):
    tables = random_tables(seed)
    result = search(tables, trie_arrays(docids), FEW, length_penalty=length_penalty, early_stopping=early)
    for query in range(BATCH):
        assert_hits(result, query, plain_by_length(tables[query], docids, FEW, length_penalty, early), FEW)
    np.testing.assert_array_equal(result.pruned_bound, np.inf)


def test_tails_are_scored_several_tokens_per_call():
    """Tails start where every beam has only one docid left: here, at the second token."""
    docids = [(2, 3, 4, 5), (3, 2, 2), (4, 5, 5, 2), (5,)]
    shapes, tables = [], random_tables(2)
    model = make_step(jnp.asarray(tables))

    def step(tokens, position, cache):
        jax.debug.callback(lambda p, shape=tokens.shape: shapes.append((int(p), shape)), position)
        return model(tokens, position, cache)

    result = constrained_beam_search(
        step, empty_cache(), trie_arrays(docids), batch=BATCH, beams=4, max_length=5, widths=WIDTHS, tail=3
    )
    jax.effects_barrier()
    assert sorted(shapes) == [(0, (BATCH, 1)), (1, (BATCH, 4, 3)), (4, (BATCH, 4, 3))]
    for query in range(BATCH):
        assert_hits(result, query, brute_force(tables[query], docids), 4)


def test_more_children_than_the_shortest_list_holds():
    """200 children below one node, 3 below the others: the list of candidates has several lengths."""
    docids = [(2, token) for token in range(2, 202)] + [(3, token) for token in range(2, 5)] + [(4, 2)]
    tables = random_tables(5, columns=202)
    trie = DocidTrie.from_sequences(docids)
    result = search(tables, trie.arrays, 4, widths=trie.widths(4))
    assert trie.widths(4) == (3, 204)
    for query in range(BATCH):
        assert_hits(result, query, plain_constrained(tables[query], docids, 4), 4)


def test_the_bound_tells_a_proven_list_from_a_wrong_one():
    docids = [(a, b) for a in range(2, VOCABULARY) for b in (2, 3)]
    proven, right = [], []
    for seed in range(40):
        tables = random_tables(seed)
        result = search(tables, trie_arrays(docids), FEW)
        for query in range(BATCH):
            truth = brute_force(tables[query], docids)[:FEW]
            proven.append(count_proven(result, query) == FEW)
            right.append(result.rows[query].tolist() == [row for _, row in truth])
    assert not np.any(np.array(proven) & ~np.array(right))
    assert 0 < sum(proven) < len(proven)
    assert sum(right) < len(right)


def test_a_list_that_misses_a_pruned_docid_is_not_proven():
    # 2 leads slightly, but everything after 3 is certain: one beam takes 2, and its result must not be proven
    docids = [(2, 4), (2, 5), (3, 4)]
    first, after_2, after_3, after = np.full((4, VOCABULARY), -20.0, np.float32)
    first[[2, 3]] = 0.1, 0.0
    after_2[[4, 5]] = 0.0
    after_3[4] = after[EOS] = 0.0

    def step(tokens, position, cache):
        logits = jnp.stack([first, after_2, after_3, after])[jnp.minimum(jnp.maximum(tokens - 1, 0), 3)]
        return logits, cache

    result = constrained_beam_search(step, {}, trie_arrays(docids), batch=1, beams=1, max_length=3, widths=WIDTHS)
    assert result.rows.tolist() == [[0]]
    np.testing.assert_allclose(result.scores, np.log([[0.5 / (1 + np.exp(-0.1))]]), atol=1e-5)
    np.testing.assert_allclose(result.pruned_bound, np.log([1 / (1 + np.exp(0.1))]), atol=1e-5)


@pytest.mark.parametrize("beams", [MOST, FEW])
def test_ties_go_by_row_then_by_beam_and_token(beams):
    # no model at all: every edge costs log(VOCABULARY), so the score is the docid's length
    docids = [(5,), (4,), (3, 3), (3,), (2, 5), (2, 2), (2,)]
    result = search(np.zeros_like(random_tables(0)), trie_arrays(docids), beams)
    expected = [0, 1, 3, 6, 2, 4, 5] if beams == MOST else [1, 3, 6]  # three beams keep 2, 3, 4 of the root's children
    for query in range(BATCH):
        assert result.rows[query, : len(expected)].tolist() == expected
        lengths = np.array([len(docids[row]) + 1 for row in expected])
        np.testing.assert_allclose(result.scores[query, : len(expected)], -np.log(VOCABULARY) * lengths, rtol=1e-6)


def test_a_docid_may_be_a_prefix_of_another():
    docids = [(2,), (2, 2), (2, 2, 2), (2, 2, 2, 2), (2, 3)]
    tables = random_tables(7)
    for query in range(BATCH):
        assert_hits(search(tables, trie_arrays(docids), MOST), query, brute_force(tables[query], docids), MOST)


def test_columns_map_tokens_to_the_models_outputs():
    docids = [(5, 3), (3,), (3, 5), (5,)]
    column = {EOS: 2, 3: 0, 5: 3}  # four outputs, one of which no docid uses: the softmax is over all four
    columns = np.zeros(VOCABULARY, np.int32)
    columns[list(column)] = list(column.values())
    tables = random_tables(3, columns=4)
    result = search(tables, trie_arrays(docids), FEW + 1, columns=columns)
    for query in range(BATCH):
        assert_hits(result, query, brute_force(tables[query], docids, column), FEW + 1)


def test_stops_when_no_live_beam_can_reach_the_results():
    docids = [(2,), (2, 3, 3, 3)]  # when the first is complete, the second is still alive but far behind
    calls = []

    def step(tokens, position, cache):
        jax.debug.callback(lambda p: calls.append(int(p)), position)
        return jnp.zeros((*tokens.shape, VOCABULARY)).at[..., [2, EOS]].set(9.0), cache

    result = jax.jit(partial(constrained_beam_search, step, batch=1, beams=1, max_length=5, widths=WIDTHS))(
        {}, trie_arrays(docids)
    )
    jax.block_until_ready(result)
    jax.effects_barrier()
    assert result.rows.tolist() == [[0]]
    assert sorted(calls) == [0, 1]


def test_a_query_does_not_depend_on_its_batch():
    docids = [(a, b, a) for a in range(2, VOCABULARY) for b in (2, 3)]
    tables = random_tables(11)
    together = search(tables, trie_arrays(docids), FEW)
    for query in range(BATCH):
        alone = search(tables[query : query + 1], trie_arrays(docids), FEW)
        for one, both in zip(alone[:4], together[:4], strict=True):
            np.testing.assert_allclose(one[0], both[query], rtol=1e-6)
