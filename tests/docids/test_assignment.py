import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.docids.assignment import assign_unique
from gr2_jax.errors import UserError

DIGITS = (2, 3)
# candidates made of the digits themselves and one more token, so that suffixes collide with real candidates
docids = st.lists(st.sampled_from([2, 3, 4]), max_size=3).map(tuple)
candidate_lists = st.lists(st.lists(docids, max_size=4), min_size=1, max_size=40)


def in_order(base, max_length):
    """The docids a suffix can give, shortest suffix first, from the definition."""
    for length in itertools.count(1):
        for suffix in itertools.product(DIGITS, repeat=length):
            yield (base if max_length is None else base[: max_length - length]) + suffix


def plain_assignment(candidates, max_length):
    taken, result = [], []
    for listed in candidates:
        cut = [c if max_length is None else c[:max_length] for c in listed]
        free = [(i, c) for i, c in enumerate(cut) if c != () and c not in taken]
        if free:
            choice, docid = free[0]
        else:
            base = [c for c in cut if c != ()][:1] or [()]
            choice, docid = -1, next(d for d in in_order(base[0], max_length) if d not in taken)
        taken.append(docid)
        result.append((docid, choice))
    return result


@settings(max_examples=150, deadline=None, derandomize=True)
@given(candidates=candidate_lists, max_length=st.sampled_from([None, 5, 8]))
def test_unique_and_equal_to_the_definition(candidates, max_length):
    assignment = assign_unique(candidates, suffix_tokens=DIGITS, max_length=max_length)
    assert len(set(assignment.docids)) == len(candidates)
    assert all(assignment.docids)
    assert list(zip(assignment.docids, assignment.choices.tolist(), strict=True)) == plain_assignment(
        candidates, max_length
    )
    assert assignment.choices.dtype == np.int32


def test_a_suffix_may_take_the_candidate_of_a_later_document():
    assignment = assign_unique([[(7,)], [(7,)], [(7, 2)], [(7, 2), (8,)]], suffix_tokens=DIGITS)
    assert assignment.docids == ((7,), (7, 2), (7, 2, 2), (8,))
    assert assignment.choices.tolist() == [0, -1, -1, 1]


def test_identical_and_empty_documents_count_in_the_suffix_base():
    assignment = assign_unique([[]] * 6 + [[()]], suffix_tokens=DIGITS)
    assert assignment.docids == ((2,), (3,), (2, 2), (2, 3), (3, 2), (3, 3), (2, 2, 2))
    assert assign_unique([[(9,)]] * 4, suffix_tokens=[5]).docids == ((9,), (9, 5), (9, 5, 5), (9, 5, 5, 5))


def test_many_identical_documents_take_linear_time():
    assignment = assign_unique([[(9,)]] * 20_000, suffix_tokens=range(2, 12))
    assert len(set(assignment.docids)) == 20_000


def test_max_length_cuts_candidates_and_makes_room_for_the_suffix():
    assignment = assign_unique([[(5, 6, 7, 8)], [(5, 6, 7, 9)], [(5, 6)]], suffix_tokens=DIGITS, max_length=3)
    assert assignment.docids == ((5, 6, 7), (5, 6, 2), (5, 6))


def test_max_length_too_small_for_the_corpus():
    with pytest.raises(UserError, match="document 6 gets no docid: all suffixes of at most 2 tokens"):
        assign_unique([[]] * 7, suffix_tokens=DIGITS, max_length=2)


@pytest.mark.parametrize("suffix_tokens", [[], [2, 3, 2]])
def test_refuses_suffix_tokens_that_cannot_count(suffix_tokens):
    with pytest.raises(UserError, match="suffix tokens"):
        assign_unique([[(4,)]], suffix_tokens=suffix_tokens)


def test_refuses_no_documents():
    with pytest.raises(UserError, match="no documents"):
        assign_unique([], suffix_tokens=DIGITS)


def test_figures():
    candidates = [[(4,)], [(4,), (5, 5)], [(6,)], [(4,), (5, 5)], []]
    figures = assign_unique(candidates, suffix_tokens=DIGITS).figures()
    lengths = [1, 2, 1, 2, 1]
    assert figures == {
        "documents": 5,
        "unique_share": 1.0,
        "unique_share_before": 1 / 5,  # (6,) alone; a document without candidates has no docid to be unique
        "needed_later_candidate": 1,
        "needed_suffix": 2,
        "length_mean": pytest.approx(np.mean(lengths)),
        "length_p95": pytest.approx(np.percentile(lengths, 95)),
    }
