import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.docids.trie import DocidTrie
from gr2_jax.errors import UserError

EOS = 1
token_sets = st.sampled_from(
    [st.integers(2, 5), st.sampled_from([2, 300, 65_535]), st.sampled_from([2, 65_536, 2**31 - 1])]
)
docid_lists = token_sets.flatmap(
    lambda tokens: st.lists(st.lists(tokens, min_size=1, max_size=5), min_size=1, max_size=25, unique_by=tuple)
)


def dict_trie(docids):
    """A trie as nested dictionaries; an EOS edge leads to the row instead of a dictionary."""
    root = {}
    for row, docid in enumerate(docids):
        node = root
        for token in docid:
            node = node.setdefault(token, {})
        node[EOS] = row
    return root


def walk(trie, dictionary):
    """Compares every node with its dictionary and returns the nodes visited."""
    first_child, token, row = trie.arrays
    visited, todo = [], [(0, dictionary)]
    while todo:
        node, expected = todo.pop(0)
        visited.append(node)
        children = range(first_child[node], first_child[node + 1])
        if isinstance(expected, int):
            assert row[node] == expected
            assert token[node] == EOS
            assert len(children) == 0
            continue
        assert row[node] == -1
        assert [int(token[child]) for child in children] == sorted(expected)
        todo += [(child, expected[int(token[child])]) for child in children]
    return visited


@settings(max_examples=60, deadline=None, derandomize=True)
@given(docids=docid_lists)
def test_equals_a_dict_trie_and_round_trips(docids):
    trie = DocidTrie.from_sequences(docids)
    # breadth first visits 0, 1, 2, ...: nodes are in level order and every node is reached once
    assert walk(trie, dict_trie(docids)) == list(range(len(trie.token)))
    assert trie.sequences() == docids
    assert trie.num_docids == len(docids)
    assert trie.max_depth == max(map(len, docids)) + 1
    assert trie.tokens.tolist() == sorted({EOS, *(token for docid in docids for token in docid)})
    children = np.diff(trie.first_child)
    assert trie.widths == (children[0], max(children[1:]))
    assert trie.token.dtype == (np.uint16 if trie.tokens.max() < 65_536 else np.int32)
    assert trie.nbytes == len(trie.token) * (4 + trie.token.itemsize + 4) + 4


def test_padded_array_equals_lists():
    docids = [[4, 2], [4], [3, 3, 3]]
    padded = np.array([[4, 2, 0, 0], [4, 0, 0, 0], [3, 3, 3, 0]])
    for expected, array in zip(
        DocidTrie.from_sequences(docids).arrays, DocidTrie.from_sequences(padded).arrays, strict=True
    ):
        np.testing.assert_array_equal(array, expected)


def test_another_eos_token_still_comes_first_among_its_siblings():
    trie = DocidTrie.from_sequences([[5, 2], [5]], eos_id=9)
    assert trie.token.tolist() == [0, 5, 9, 2, 9]
    assert trie.row.tolist() == [-1, -1, 1, -1, 0]


@pytest.mark.parametrize(
    ("docids", "sentence"),
    [
        ([], "at least one docid"),
        ([[2], []], "document 1 is empty"),
        ([[3], [2, 4], [5], [2, 4]], r"documents 1 and 3 have the same docid \[2, 4\]"),
        ([[2], [3, -4]], "document 1 has token -4 at position 1, which is not a positive"),
        ([[2], [3, 0, 2]], "document 1 has token 0 at position 1"),
        ([[2, 1]], "document 0 has token 1 at position 1, which is the end-of-docid token"),
        ([[2**31]], "token 2147483648 at position 0"),
        (np.array([[2, 0], [0, 0]]), "document 1 is empty"),
        (np.array([[2, 3], [0, 4]]), "document 1 has token 0 at position 0"),
        (np.array([[2.0, 3.0]]), r"an integer array \[N, Ti\], not float64 \[1, 2\]"),
    ],
)
def test_refuses_what_is_not_a_set_of_docids(docids, sentence):
    with pytest.raises(UserError, match=sentence):
        DocidTrie.from_sequences(docids)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "trie.npz"
    DocidTrie.from_sequences([[2, 3], [2], [70_000, 4, 5]]).save(path)
    return path


def test_file_round_trip(saved):
    trie = DocidTrie.load(saved)
    assert trie.sequences() == [[2, 3], [2], [70_000, 4, 5]]
    assert [path.name for path in saved.parent.iterdir()] == ["trie.npz"]
    again = saved.with_name("again.npz")
    trie.save(again)
    assert again.read_bytes() == saved.read_bytes()


def test_a_truncated_file_is_refused(saved):
    whole = saved.read_bytes()
    for length in [0, 10, len(whole) // 2, len(whole) - 1]:
        saved.write_bytes(whole[:length])
        with pytest.raises(UserError, match="is damaged"):
            DocidTrie.load(saved)


def test_a_changed_byte_is_refused(saved):
    whole = saved.read_bytes()
    place = whole.index(np.int32(70_000).tobytes())
    saved.write_bytes(whole[:place] + b"\x00" + whole[place + 1 :])
    with pytest.raises(UserError, match="is damaged"):
        DocidTrie.load(saved)


@pytest.mark.parametrize(
    "change",
    [{"format": np.array("another trie")}, {"row": np.array([-1, 0])}, {"first_child": np.zeros(10, np.int32)}],
)
def test_foreign_contents_are_refused(saved, change):
    with np.load(saved) as archive:
        arrays = dict(archive)
    assert len(arrays["first_child"]) == 10
    np.savez(saved, **(arrays | change))
    with pytest.raises(UserError, match="is not a docid trie"):
        DocidTrie.load(saved)


def test_files_of_another_kind_are_refused(tmp_path):
    np.save(tmp_path / "array.npy", np.arange(3))
    np.savez(tmp_path / "other.npz", weights=np.arange(3))
    for name in ["array.npy", "other.npz"]:
        with pytest.raises(UserError, match=f"{name} is not a docid trie"):
            DocidTrie.load(tmp_path / name)
    with pytest.raises(UserError, match=r"there is no docid trie at .*missing\.npz"):
        DocidTrie.load(tmp_path / "missing.npz")
