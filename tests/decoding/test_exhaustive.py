"""Exhaustive search against sums of each docid's log-probabilities in plain Python."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_search import BATCH, EOS, LONGEST, MOST, VOCABULARY, brute_force, docid_sets, make_step, random_tables

from gr2_jax.decoding import exhaustive_search

COLUMN = np.array([-1, 3, 1, 0, 4, 2])  # the column of each token, in a model without token 0


def padded(docids):
    """[MOST, LONGEST + 1]: the docids with their ends, then empty padding docids."""
    rows = [[*docid, EOS] + [0] * (LONGEST - len(docid)) for docid in docids]
    return np.array(rows + [[0] * (LONGEST + 1)] * (MOST - len(docids)), np.int32)


def rows_of(docids):
    return np.array([*range(len(docids)), *[-1] * (MOST - len(docids))], np.int32)


@partial(jax.jit, static_argnames=("k", "chunk", "restricted"))
def search(tables, docids, rows, k, chunk, restricted=False):
    def logits(tokens):
        """Teacher forcing by single steps."""
        given = jnp.pad(tokens[:, :-1], ((0, 0), (1, 0)))
        cache = {"history": jnp.zeros((len(tables), len(tokens), 1), jnp.int32)}
        return make_step(tables)(jnp.broadcast_to(given, (len(tables), *given.shape)), 0, cache)[0]

    columns = COLUMN if restricted else None
    return exhaustive_search(logits, docids, rows, batch=len(tables), k=k, chunk=chunk, columns=columns)


def assert_brute_force(result, tables, docids, k, column=None):
    for query, table in enumerate(tables):
        best = brute_force(table, docids, column)
        found = min(k, len(docids))
        assert result.rows[query].tolist() == [row for _, row in best[:found]] + [-1] * (k - found)
        assert result.valid[query].tolist() == [True] * found + [False] * (k - found)
        scores = [score for score, _ in best] + [-np.inf] * (k + 1 - len(best))
        np.testing.assert_allclose(result.scores[query], scores[:k], rtol=1e-5)
        np.testing.assert_allclose(result.pruned_bound[query], scores[k], rtol=1e-5)


@given(docid_sets, st.integers(0, 2**31), st.sampled_from([(3, 4), (20, 4), (3, MOST), (1, 1)]))
@settings(max_examples=60)
def test_equals_brute_force(docids, seed, k_and_chunk):
    """Chunks that divide the docids and chunks that do not, more results than docids, docids of one length or many."""
    k, chunk = k_and_chunk
    tables = random_tables(seed)
    assert_brute_force(search(tables, padded(docids), rows_of(docids), k, chunk), tables, docids, k)


def test_the_order_of_the_docids_does_not_matter():
    docids = [(2,), (2, 3, 4, 5), (3,), (5, 5), (4, 2, 2), (3, 3, 3, 3), (5,)]
    tables = random_tables(3)
    order = np.array([4, 0, 5, 6, 2, 1, 3, 7, 8, 9])
    result = search(tables, padded(docids)[order], rows_of(docids)[order], 3, 4)
    assert_brute_force(result, tables, docids, 3)


def test_a_model_whose_output_is_part_of_the_vocabulary():
    docids = [(2, 4), (3,), (5, 2)]
    tables = random_tables(4, columns=VOCABULARY - 1)
    result = search(tables, padded(docids), rows_of(docids), 3, 4, restricted=True)
    assert_brute_force(result, tables, docids, 3, COLUMN)


@pytest.mark.parametrize("chunk", [1, 4, MOST])
def test_ties_go_by_row_across_chunks(chunk):
    """All tokens are equally likely, so docids of equal length tie."""
    docids = [(2, 2), (3, 4), (5,), (4, 4), (2, 5), (3,)]
    order = np.array([4, 1, 5, 3, 2, 0, 6, 7, 8, 9])
    tables = np.zeros((BATCH, 31, VOCABULARY), np.float32)
    for k, bound in ((3, -3 * np.log(VOCABULARY)), (20, -np.inf)):
        result = search(tables, padded(docids)[order], rows_of(docids)[order], k, chunk)
        assert result.rows[0, :6].tolist() == [2, 5, 0, 1, 3, 4][:k]
        np.testing.assert_allclose(result.pruned_bound, bound, rtol=1e-5)
        assert result.all_proven.all()


def test_rows_default_to_indices_and_impossible_docids_are_not_found():
    docids = [(2,), (3,), (4,)]
    tables = random_tables(5)
    tables[:, :, 3] = -np.inf
    result = search(tables, padded(docids)[:3], None, 3, 2)
    assert np.sort(result.rows, axis=1).tolist() == [[-1, 0, 2]] * BATCH
    assert result.valid.tolist() == [[True, True, False]] * BATCH
    assert np.isfinite(result.scores[:, :2]).all()
