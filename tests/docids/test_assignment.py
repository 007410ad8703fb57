import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.docids.assignment import assign_unique
from gr2_jax.docids.candidates import pack_candidates
from gr2_jax.errors import UserError

DIGITS = (2, 3)
# candidates made of the digits themselves and one more token, so that suffixes collide with real candidates
docids = st.lists(st.sampled_from([2, 3, 4]), max_size=4).map(tuple)
document = st.lists(docids, max_size=4)
# each document's first list and those of two resamplings
corpora = st.lists(st.tuples(document, document, document), min_size=1, max_size=40)


def in_order(base, max_length):
    """The base with every suffix, shortest suffix first, by the definition."""
    for length in itertools.count(1):
        for suffix in itertools.product(DIGITS, repeat=length):
            yield (base if max_length is None else base[: max_length - length]) + suffix


def plain_assignment(corpus, max_length, resamples=0, held=()):
    """(docid, choice, sample) of each document, one document after the other; the docids `held` are taken before."""
    taken, result = dict.fromkeys(held), {}
    for sample in range(resamples + 1):
        for row, lists in enumerate(corpus):
            for choice, docid in enumerate(lists[sample]):
                docid = docid[:max_length]
                if row not in result and docid != () and docid not in taken:
                    taken[docid] = row
                    result[row] = (docid, choice, sample)
    for row, lists in enumerate(corpus):
        if row not in result:
            base = next((docid[:max_length] for docid in lists[0] if docid), ())
            docid = next(docid for docid in in_order(base, max_length) if docid not in taken)
            taken[docid] = row
            result[row] = (docid, -1, -1)
    return [result[row] for row in range(len(corpus))]


def cut(lists, cuts):
    """Shards of the lists, cut before the rows `cuts`; each as wide as its own lists need."""
    edges = [0, *sorted(c for c in cuts if c < len(lists)), len(lists)]
    return [pack_candidates(lists[start:end]) for start, end in itertools.pairwise(edges)]


def assign(corpus, cuts=(), resamples=0, **options):
    def resample(rows, k):
        return cut([corpus[row][k] for row in rows.tolist()], cuts)

    lists = cut([lists[0] for lists in corpus], cuts)
    return assign_unique(lists, suffix_tokens=DIGITS, resample=resample, resamples=resamples, **options)


def only(*lists):
    """A corpus without resampling."""
    return [(listed,) for listed in lists]


def as_tuples(assignment):
    rows = (tuple(token for token in row if token) for row in assignment.docids.tolist())
    return list(zip(rows, assignment.choices.tolist(), assignment.samples.tolist(), strict=True))


@settings(max_examples=300)
@given(
    corpus=corpora,
    cuts=st.lists(st.integers(0, 39), max_size=5),
    max_length=st.sampled_from([None, 5, 8]),
    resamples=st.integers(0, 2),
)
def test_unique_and_equal_to_the_definition(corpus, cuts, max_length, resamples):
    assignment = assign(corpus, cuts, resamples, max_length=max_length)
    result = as_tuples(assignment)
    assert len({docid for docid, _, _ in result}) == len(corpus)
    assert all(docid for docid, _, _ in result)
    assert result == plain_assignment(corpus, max_length, resamples)


@settings(max_examples=100)
@given(
    corpus=corpora,
    earlier=st.lists(st.lists(st.integers(2, 9), min_size=1, max_size=4).map(tuple), unique=True, max_size=30),
    resamples=st.integers(0, 1),
)
def test_docids_that_other_documents_hold_are_not_given_again(corpus, earlier, resamples):
    held = pack_candidates([[docid] for docid in earlier])[:, 0] if earlier else np.zeros((0, 1), np.int32)
    assignment = assign(corpus, (), resamples, max_length=5, held=held)
    result = as_tuples(assignment)
    assert result == plain_assignment(corpus, 5, resamples, earlier)
    assert not {docid for docid, _, _ in result} & set(earlier)


@settings(max_examples=50)
@given(corpus=corpora, cuts=st.lists(st.integers(0, 39), max_size=8), slice_size=st.integers(1, 7))
def test_cuts_do_not_change_a_byte(corpus, cuts, slice_size):
    whole = assign(corpus, resamples=2, max_length=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gr2_jax.docids.candidates.SLICE", slice_size)
        patch.setattr("gr2_jax.docids.suffixes.SLICE", slice_size)
        in_pieces = assign(corpus, cuts, resamples=2, max_length=5)
    for name in ("docids", "choices", "samples"):
        one, other = getattr(whole, name), getattr(in_pieces, name)
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    assert whole.first_is_unique == in_pieces.first_is_unique


@settings(max_examples=100)
@given(rows=st.lists(st.integers(0, 2), min_size=1, max_size=150), max_length=st.sampled_from([None, 8, 9]))
def test_suffixes_of_bases_that_can_give_the_same_docid(rows, max_length):
    bases = [(), (4,), (4, 2, 3)]
    corpus = only(*([bases[row]] for row in rows))
    assert as_tuples(assign(corpus, max_length=max_length)) == plain_assignment(corpus, max_length)


def test_bases_that_max_length_makes_equal_share_their_suffixes():
    rng = np.random.default_rng(0)
    corpus = only(*([(4, 5, *tail)] for tail in rng.choice([6, 7], (120, 6)).tolist()))
    for max_length in (8, 7):
        assert as_tuples(assign(corpus, max_length=max_length)) == plain_assignment(corpus, max_length)


def test_long_runs_of_taken_suffixes():
    run = [[docid] for docid in itertools.islice(in_order((4,), None), 300)]
    corpus = only(*run, *[[(4,)]] * 5, *run[::-1])
    assert as_tuples(assign(corpus)) == plain_assignment(corpus, None)


def test_everyone_wants_the_same_chain():
    chain = [(token,) for token in range(4, 54)]
    corpus = only(*[chain] * 60)
    assert as_tuples(assign(corpus)) == plain_assignment(corpus, None)


def test_lists_that_push_each_other_out_in_a_long_chain():
    chain = [[(token,), (token + 1,)] for token in range(4, 254)]
    corpus = only([(4,)], *chain)  # the second document does not get (4,) and pushes the third out of (5,), and so on
    assignment = assign(corpus)
    assert as_tuples(assignment) == plain_assignment(corpus, None)
    assert assignment.choices.tolist() == [0, *[1] * 250]


def test_a_suffix_may_take_what_a_base_with_digits_would_have_got():
    corpus = only([(7,)], [(7,)], [(7, 2)], [(7, 2), (8,)])
    assert as_tuples(assign(corpus)) == [((7,), 0, 0), ((7, 3), -1, -1), ((7, 2), 0, 0), ((8,), 1, 0)]
    corpus = only([(7,)], [(7, 2)], [(7, 2)], *[[(7,)]] * 4)
    assert as_tuples(assign(corpus)) == plain_assignment(corpus, None)


def test_identical_and_empty_documents_count_in_the_suffix_base():
    counted = [(2,), (3,), (2, 2), (2, 3), (3, 2), (3, 3), (2, 2, 2)]
    assert as_tuples(assign(only(*[[]] * 6, [()]))) == [(docid, -1, -1) for docid in counted]
    one_digit = assign_unique([pack_candidates([[(9,)]] * 4)], suffix_tokens=[5])
    assert one_digit.docids.tolist() == [[9, 0, 0, 0], [9, 5, 0, 0], [9, 5, 5, 0], [9, 5, 5, 5]]


@pytest.mark.parametrize(("bases", "firsts"), [([(9,)], 1), ([(9,), (9, 2)], 2)])  # the second: bases with digits
def test_many_identical_documents(bases, firsts):
    documents = 200_000
    lists = np.tile(pack_candidates([bases]), (documents, 1, 1))
    lists[1::2] = lists[1::2, ::-1]
    assignment = assign_unique([lists], suffix_tokens=range(2, 12))
    assert len(np.unique(assignment.docids, axis=0)) == documents
    assert np.count_nonzero(assignment.choices >= 0) == firsts
    suffixes = assignment.lengths[assignment.choices < 0]
    assert suffixes.max() <= 8
    assert assignment.docids[-1].all()


def test_resampling_gets_the_rows_left_over_until_none_is_left():
    asked = []

    def resample(rows, k):
        asked.append((rows.tolist(), k))
        return [pack_candidates([[(6 + k,)]] * len(rows))]

    lists = [pack_candidates([[(4,)]] * 3 + [[]])]
    assignment = assign_unique(lists, suffix_tokens=DIGITS, resample=resample, resamples=9)
    assert asked == [([1, 2, 3], 1), ([2, 3], 2), ([3], 3)]
    assert as_tuples(assignment) == [((4,), 0, 0), ((7,), 0, 1), ((8,), 0, 2), ((9,), 0, 3)]


def test_max_length_cuts_candidates_and_makes_room_for_the_suffix():
    assignment = assign(only([(5, 6, 7, 8)], [(5, 6, 7, 9)], [(5, 6)]), max_length=3)
    assert assignment.docids.tolist() == [[5, 6, 7], [5, 6, 2], [5, 6, 0]]


@pytest.mark.parametrize(("listed", "fit"), [([], 6), ([(2,)], 5), ([(4, 4)], 7)])  # (2,) takes its own suffix 22
def test_max_length_too_small_for_the_corpus(listed, fit):
    assign(only(*[listed] * fit), max_length=2)
    with pytest.raises(UserError, match=f"document {fit} gets no docid: all suffixes of at most 2 tokens"):
        assign(only(*[listed] * 9), max_length=2)


def test_tokens_beyond_16_bits_widen_the_table():
    lists = [pack_candidates([[(4,)]]), pack_candidates([[(70_000, 5)]])]
    assignment = assign_unique(lists, suffix_tokens=DIGITS)
    assert assignment.docids.dtype == np.int32
    assert assignment.docids.tolist() == [[4, 0], [70_000, 5]]
    assert assign_unique(lists[:1], suffix_tokens=DIGITS).docids.dtype == np.uint16
    beyond = assign_unique([pack_candidates([[(4,)]] * 2)], suffix_tokens=[70_000])
    assert beyond.docids.tolist() == [[4, 0], [4, 70_000]]


@pytest.mark.parametrize(
    "suffix_tokens", [[], [2, 3, 2], [0, 2], [2, -1], [2, 2.5], [2, 2**31], [2, 2**70], ["2"], np.array([[2, 3]])]
)
def test_refuses_suffix_tokens_that_cannot_count(suffix_tokens):
    with pytest.raises(
        UserError, match=r"^suffix tokens must be .* different whole numbers from 1 to 2147483647, not "
    ):
        assign_unique([pack_candidates([[(4,)]])], suffix_tokens=suffix_tokens)


def test_the_largest_token_is_a_suffix():
    assigned = assign_unique([pack_candidates([[(4,)]] * 2)], suffix_tokens=[2**31 - 1])
    assert assigned.docids.tolist() == [[4, 0], [4, 2**31 - 1]]


@pytest.mark.parametrize("max_length", [0, -1])
def test_refuses_docids_without_a_token(max_length):
    with pytest.raises(UserError, match=f"^docids need a max_length of 1 token or more, not {max_length}$"):
        assign(only([(4, 5)], [(6,)]), max_length=max_length)


@pytest.mark.parametrize("shards", [[], [np.zeros((0, 2, 3), int)]])
def test_refuses_no_documents(shards):
    with pytest.raises(UserError, match="no documents"):
        assign_unique(shards, suffix_tokens=DIGITS)


@pytest.mark.parametrize(
    ("shard", "message"),
    [
        (np.ones((2, 3, 4)), r"integer array .*, not a ndarray of float64 \[2, 3, 4\]"),
        (np.ones((2, 3), int), r"not a ndarray of int64 \[2, 3\]"),
        ([[[4]]], "not a list"),
        (np.array([[[4, -1]]]), "the token -1: tokens run from 1"),
        (np.array([[[2**31]]]), "the token 2147483648"),
        (np.array([[[4, 0, 5]]]), r"\[4, 0, 5\] has a token after its padding"),
    ],
)
def test_refuses_invalid_candidates(shard, message):
    with pytest.raises(UserError, match=message):
        assign_unique([shard], suffix_tokens=DIGITS)


@pytest.mark.parametrize(("given_rows", "said"), [(1, "1 documents"), (4, "4 or more documents"), (0, "0 documents")])
def test_refuses_lists_for_other_documents_than_asked_for(given_rows, said):
    with pytest.raises(UserError, match=f"resampling 1 gave lists for {said}, but 3 were asked for"):
        assign_unique(
            [pack_candidates([[(4,)]] * 4)],
            suffix_tokens=DIGITS,
            resample=lambda rows, k: [pack_candidates([[(5,)]] * given_rows)],
            resamples=1,
        )


def test_figures():
    corpus = [([(4,)],), ([(4,), (5, 5)],), ([(6,)],), ([(4,), (5, 5)], [(4,), (6,), (7, 7, 7)]), ([], [])]
    lengths = [1, 2, 1, 3, 1]
    assert assign(corpus, resamples=1).figures() == {
        "documents": 5,
        "unique_share": 1.0,
        "unique_share_before": 1 / 5,  # (6,) alone; a document without candidates has no docid to be unique
        "needed_later_candidate": 1,
        "needed_another_sample": 1,
        "needed_suffix": 1,
        "deepest_choice": 2,
        "length_mean": pytest.approx(np.mean(lengths)),
        "length_p95": pytest.approx(np.percentile(lengths, 95)),
    }


def test_packs_ragged_lists():
    packed = pack_candidates([[[4, 5], []], [], [[6], [7, 8, 9], [4]]])
    assert packed.tolist() == [
        [[4, 5, 0], [0, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
        [[6, 0, 0], [7, 8, 9], [4, 0, 0]],
    ]
    assert pack_candidates([]).shape == (0, 0, 0)
    assert pack_candidates([[np.array([3, 2**31 - 1])]]).tolist() == [[[3, 2**31 - 1]]]


@pytest.mark.parametrize("token", [0, -1, 2**31, 2**70, 2.5, "4", None])
def test_refuses_to_pack_invalid_tokens(token):
    sentence = f"the token {token} at position 1: tokens are whole numbers from 1 to 2147483647"
    with pytest.raises(UserError, match=f"^a candidate docid has {sentence}$"):
        pack_candidates([[[4, 5], []], [[5, token, 6], [0]]])
