import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.docids.structure import structure
from gr2_jax.errors import UserError

END = "end"


def padded(docids, width=None):
    rows = np.zeros((len(docids), width or max(map(len, docids))), np.int64)
    for row, docid in zip(rows, docids, strict=True):
        row[: len(docid)] = docid
    return rows


def plain(docids):
    """The same figures from a trie of dictionaries and from comparing every pair of documents."""
    root = {}
    for docid in docids:
        node = root
        for token in (*docid, END):
            node = node.setdefault(token, {})
    level, nodes, means, most = [root], [], [], []
    while level:
        nodes.append(len(level))
        means.append(sum(map(len, level)) / len(level))
        most.append(max(map(len, level)))
        level = [child for node in level for token, child in node.items() if token != END]
    lengths = [len(docid) for docid in docids]
    whole = [(*docid, END) for docid in docids]
    unique = [
        sum(all(mine[:t] != other[:t] for j, other in enumerate(whole) if j != i) for i, mine in enumerate(whole))
        for t in range(max(lengths) + 1)
    ]
    return {
        "documents": len(docids),
        "length_histogram": [lengths.count(n) for n in range(1, max(lengths) + 1)],
        "length_mean": pytest.approx(sum(lengths) / len(lengths)),
        "length_p50": pytest.approx(np.percentile(lengths, 50)),
        "length_p95": pytest.approx(np.percentile(lengths, 95)),
        "length_max": max(lengths),
        "nodes_by_depth": nodes,
        "branching_by_depth": {"mean": pytest.approx(means), "max": most},
        "unique_by_depth": pytest.approx([count / len(docids) for count in unique]),
        "tokens_used": len({token for docid in docids for token in docid}),
    }


# Few distinct tokens give shared prefixes; these cross the byte boundaries of 16 and 32 bits.
tokens = st.sampled_from([1, 2, 255, 256, 511, 65_535]) | st.just(65_536)
docid_sets = st.lists(st.lists(tokens, min_size=1, max_size=4).map(tuple), min_size=1, max_size=25, unique=True)


@given(docid_sets, st.integers(0, 2))
@settings(max_examples=150)
def test_equals_a_trie_of_dictionaries(docids, padding):
    found = structure(padded(docids, max(map(len, docids)) + padding))
    assert found == plain(docids)
    assert json.loads(json.dumps(found)) == found


def test_by_hand():
    found = structure(padded([(5,), (5, 6), (5, 6, 7), (8, 9)]))
    assert found["nodes_by_depth"] == [1, 2, 2, 1]
    assert found["branching_by_depth"] == {"mean": [2.0, 1.5, 1.5, 1.0], "max": [2, 2, 2, 1]}
    assert found["unique_by_depth"] == [0.0, 0.25, 0.5, 1.0]  # (8, 9) by 8; (5,) by its end; (5, 6) by its end


def test_the_type_and_layout_of_the_array_do_not_matter():
    docids = padded([(3, 4), (3,), (4, 5, 6)])
    expected = structure(docids)
    for same in (docids.astype(np.uint16), docids.astype(np.int32), np.asfortranarray(docids), docids[::-1]):
        before = same.copy()
        assert structure(same) == expected
        np.testing.assert_array_equal(same, before)


@pytest.mark.parametrize(
    ("docids", "message"),
    [
        (np.zeros((0, 3), np.int32), r"non-empty integer array \[N, T\], not int32 \[0, 3\]"),
        (np.ones((2, 3)), "not float64"),
        (np.array([[1, 2], [0, 0]]), "empty"),
        (np.array([[1, 0, 2]]), "0 before its end"),
        (np.array([[1, -2]]), "negative"),
        (np.array([[1, 2], [3, 0], [1, 2]]), "two docids are the same"),
    ],
)
def test_refuses(docids, message):
    with pytest.raises(UserError, match=message):
        structure(docids)
