import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.docids import trie_build
from gr2_jax.docids.trie import DocidTrie
from gr2_jax.docids.trie_blocks import unpack
from gr2_jax.errors import UserError

EOS = 1
token_sets = st.sampled_from(
    [st.integers(2, 5), st.sampled_from([2, 300, 65_535]), st.sampled_from([2, 65_536, 2**31 - 1])]
)
docid_lists = token_sets.flatmap(
    lambda tokens: st.lists(st.lists(tokens, min_size=1, max_size=5), min_size=1, max_size=25, unique_by=tuple)
)
# nodes with more children than a byte can count, at the root and below two edges, among arbitrary docids
wide_lists = st.builds(
    lambda docids, prefix, width: [
        *docids,
        *(d for d in ([*prefix, 10 + child] for child in range(width)) if d not in docids),
    ],
    docid_lists,
    st.sampled_from([(), (2,), (2, 7)]),
    st.integers(200, 600),
)


@pytest.fixture(autouse=True, scope="module", params=[3, 1 << 16])
def docids_at_once(request):
    """The build works on pieces of the docids; this makes the pieces small too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trie_build, "CHUNK", request.param)
        yield request.param


def plain_trie(docids, eos=EOS):
    """Token, row and first child of every node, level by level from nested dictionaries; an end leads to its row."""
    root = {}
    for row, docid in enumerate(docids):
        node = root
        for token in docid:
            node = node.setdefault(token, {})
        node[eos] = row
    token, row, first_child, level = [0], [-1], [], [root]
    while level:
        below = []
        for node in level:
            first_child.append(len(token))
            for edge in sorted(node, key=lambda t: (t != eos, t)) if isinstance(node, dict) else ():
                below.append(node[edge])
                token.append(edge)
                row.append(-1 if isinstance(node[edge], dict) else node[edge])
        level = below
    return token, row, [*first_child, len(token)]


def all_rows(arrays):
    """The row of every node, or -1, from the bits of the leaves."""
    leaves = np.unpackbits(arrays.leaf_bits.view(np.uint8), bitorder="little")[: len(arrays.token)].astype(bool)
    rows = np.full(len(arrays.token), -1)
    rows[leaves] = arrays.row
    return rows


def assert_is_the_plain_trie(trie, docids, eos=EOS):
    token, row, first_child = plain_trie(docids, eos)
    arrays = trie.arrays
    assert arrays.token.tolist() == token
    assert all_rows(arrays).tolist() == row
    assert unpack(arrays, 0, len(token) + 1).tolist() == first_child
    bits = [int(word).bit_count() for word in arrays.leaf_bits]
    assert arrays.leaves_before.tolist() == [sum(bits[:block]) for block in range(len(bits))]
    alone = np.unpackbits(arrays.alone_bits.view(np.uint8), bitorder="little")
    assert alone.astype(bool).tolist() == [below == 1 for below in docids_below(first_child)] + [False] * (
        len(alone) - len(token)
    )


def docids_below(first_child):
    """How many docids pass through each node or end there, computed from the last node up."""
    count = [1] * (len(first_child) - 1)
    for node in reversed(range(len(count))):
        children = count[first_child[node] : first_child[node + 1]]
        count[node] = sum(children) if children else 1
    return count


def level_sums(first_child, beams):
    """For each level but the root's: the total children of its `beams` nodes with the most children."""
    sums, level = [], range(first_child[0], first_child[1])
    while level:
        sums.append(sum(sorted((first_child[n + 1] - first_child[n] for n in level), reverse=True)[:beams]))
        level = range(first_child[level[0]], first_child[level[-1] + 1])
    return sums


@settings(max_examples=60)
@given(docids=docid_lists | wide_lists)
def test_equals_a_dict_trie_and_gives_the_docids_back(docids):
    trie = DocidTrie.from_sequences(docids)
    assert_is_the_plain_trie(trie, docids)
    assert trie.sequences() == docids
    longest = max(map(len, docids))
    assert trie.docids().tolist() == [docid + [0] * (longest - len(docid)) for docid in docids]
    ended = trie.docids_with_ends()
    assert ended.tolist() == [[*docid, EOS, *[0] * (longest - len(docid))] for docid in docids]
    assert ended.dtype == (np.uint16 if max(map(max, docids)) < 1 << 16 else np.int32)
    assert trie.num_docids == len(docids)
    assert trie.max_depth == longest + 1
    assert trie.tokens.tolist() == sorted({EOS, *(token for docid in docids for token in docid)})
    _, _, first_child = plain_trie(docids)
    for beams in (1, 2, 5):
        assert trie.widths(beams) == (first_child[1] - first_child[0], max(level_sums(first_child, beams)))
    assert trie.arrays.token.dtype == (np.uint16 if trie.tokens.max() < 65_536 else np.int32)


def test_docids_of_any_length_at_any_place_of_their_blocks():
    for length in [*range(28, 36), *range(60, 68), 300]:
        docids = [[2] * length, [2] * (length - 3)]
        assert_is_the_plain_trie(DocidTrie.from_sequences(docids), docids)


def test_a_wide_node_deep_in_the_trie_takes_a_wide_block():
    # the ends of 60 leading docids put the wide node's parent's block far from the root's
    docids = [[2, token, 3] for token in range(100, 160)] + [[2, 130, 4, token] for token in range(10, 400)]
    trie = DocidTrie.from_sequences(docids)
    assert_is_the_plain_trie(trie, docids)
    assert len(trie.arrays.wide) == 2
    wide_block = int(np.flatnonzero(trie.arrays.base < 0)[-1])
    assert np.ptp(unpack(trie.arrays, 32 * wide_block, 32 * wide_block + 32)) > 255


def test_bytes_per_node():
    trie = DocidTrie.from_sequences(np.random.default_rng(0).integers(2, 60_000, (2000, 8)))
    nodes = len(trie.arrays.token)
    assert trie.nbytes < 3.52 * nodes + 4 * 2000 + 128 * len(trie.arrays.wide)
    assert len(trie.arrays.wide) <= 1 + (1 + 2000) // 32


def test_padded_array_equals_lists():
    docids = [[4, 2], [4], [3, 3, 3]]
    padded = np.array([[4, 2, 0, 0], [4, 0, 0, 0], [3, 3, 3, 0]])
    for dtype in (np.uint16, np.int32, np.int64, np.uint64):
        trie = DocidTrie.from_sequences(padded.astype(dtype))
        assert_is_the_plain_trie(trie, docids)
        assert trie.docids().tolist() == padded[:, :3].tolist()
    assert_is_the_plain_trie(DocidTrie.from_sequences(np.asfortranarray(padded)), docids)


def test_is_copied_to_the_device_once():
    trie = DocidTrie.from_sequences([[5, 2], [5], [10]])
    jax.jit(lambda: trie.on_device.token)()  # first accessed while JAX is tracing
    for array, original in zip(*map(jax.tree.leaves, (trie.on_device, trie.arrays)), strict=True):
        assert isinstance(array, jax.Array)
        np.testing.assert_array_equal(array, original)
    on_device = trie.on_device
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "device_put", None)  # no more copies
        assert trie.on_device is on_device


@pytest.mark.parametrize("eos", [9, 70_000])
def test_another_eos_token_still_comes_first_among_its_siblings(eos):
    docids = [[5, 2], [5], [10]]
    trie = DocidTrie.from_sequences(docids, eos_id=eos)
    assert_is_the_plain_trie(trie, docids, eos)
    assert trie.arrays.token.tolist() == [0, 5, 10, eos, 2, eos, eos]
    assert trie.sequences() == docids


@pytest.mark.parametrize(
    ("docids", "sentence"),
    [
        ([], "at least one docid"),
        ([[2], []], "document 1 is empty"),
        ([[3], [2, 4], [5], [2, 4]], r"documents 1 and 3 have the same docid \[2, 4\]"),
        ([[2, 4]] * 2, r"documents 0 and 1 have the same docid \[2, 4\]"),
        ([[2], [3, -4]], "document 1 has token -4 at position 1, which is not a positive"),
        ([[2], [3, 0, 2]], "document 1 has token 0 at position 1"),
        ([[2], [3, 0], [4, 0]], "document 1 has token 0 at position 1"),
        ([[0]], "document 0 has token 0 at position 0"),
        ([[2, 1]], "document 0 has token 1 at position 1, which is the end-of-docid token"),
        ([[2], [3], [4], [5, 1]], "document 3 has token 1 at position 1, which is the end-of-docid token"),
        ([[2**31]], "token 2147483648 at position 0"),
        ([[3], [], [2, 2**70]], f"document 2 has token {2**70} at position 1, which is not a positive 32-bit token id"),
        ([[3], [2, 2.5]], r"document 1 has token 2\.5 at position 1, which is not a positive 32-bit token id"),
        ([[3], ["4"]], "document 1 has token 4 at position 0, which is not a positive 32-bit token id"),
        (np.array([[2**63]], np.uint64), "token 9223372036854775808 at position 0"),
        (np.array([[2, 0], [0, 0]]), "document 1 is empty"),
        (np.zeros((3, 0), int), "document 0 is empty"),
        (np.array([[2, 3], [0, 4]]), "document 1 has token 0 at position 0"),
        (np.array([[2.0, 3.0]]), r"an integer array \[N, Ti\], not float64 \[1, 2\]"),
        (np.broadcast_to(np.uint16(2), (2**31, 1)), "at most 2,147,483,647 docids, not 2,147,483,648"),
    ],
)
def test_refuses_what_is_not_a_set_of_docids(docids, sentence):
    with pytest.raises(UserError, match=sentence):
        DocidTrie.from_sequences(docids)


def test_refuses_an_end_token_that_is_padding():
    with pytest.raises(UserError, match="end-of-docid token must be a positive 32-bit token id, not 0"):
        DocidTrie.from_sequences([[2]], eos_id=0)


def test_refuses_more_nodes_than_can_be_numbered(monkeypatch):
    monkeypatch.setattr(trie_build, "MOST_INT32", 6)
    assert len(DocidTrie.from_sequences([[2, 3], [2, 4]]).arrays.token) == 6
    with pytest.raises(UserError, match="at most 6 nodes; these docids need 7"):
        DocidTrie.from_sequences([[2, 3], [2, 4], [2]])
