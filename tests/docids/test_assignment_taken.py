import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.docids.assignment import assign_unique
from gr2_jax.docids.candidates import pack_candidates
from gr2_jax.docids.taken import TakenDocids, hash_docids


def test_hashes_do_not_depend_on_width_or_type_and_differ_for_similar_docids():
    tokens = [0, 1, 2, 3, 255, 256, 2**15, 2**15 + 1, 2**16 - 1]
    docids = np.array([d for d in itertools.product(tokens, repeat=4) if 0 not in d[: np.count_nonzero(d)]])
    hashes = hash_docids(docids)
    assert len(np.unique(hashes)) == len(docids)
    assert hashes[~docids.any(axis=1)].tolist() == [0]
    for same in (docids.astype(np.uint16), docids.astype(np.int32), np.pad(docids, [(0, 0), (0, 3)])):
        np.testing.assert_array_equal(hash_docids(same), hashes)


def test_hashes_use_all_bits():
    docids = np.arange(1, 60_001).reshape(-1, 2)
    bits = (hash_docids(docids)[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    np.testing.assert_allclose(bits.mean(axis=0), 0.5, atol=0.02)  # 7 standard deviations


@settings(max_examples=60)
@given(batches=st.lists(st.sets(st.integers(1, 60)), max_size=12))
def test_taken_is_a_set_in_few_sorted_arrays(batches):
    taken, plain = TakenDocids(), {0}
    everything = np.array([*range(60, -1, -1), *range(61)], np.uint64)
    for batch in batches:
        taken.add(np.array(sorted(batch - plain, reverse=True), np.uint64))
        plain |= batch
        assert taken.contains(everything).tolist() == [number in plain for number in everything.tolist()]
        sizes = [level.size for level in taken._levels]
        assert sum(sizes) == len(plain)
        assert all(longer >= 4 * shorter for longer, shorter in itertools.pairwise(sizes))


@settings(max_examples=60)
@given(
    corpus=st.lists(st.lists(st.lists(st.integers(2, 9), max_size=3), min_size=1, max_size=3), min_size=1, max_size=30)
)
def test_docids_are_unique_under_hash_collisions(corpus):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gr2_jax.docids.taken._mixed", lambda x: x % np.uint64(32))  # so that most docids collide
        assignment = assign_unique([pack_candidates(corpus)], suffix_tokens=[2, 3, 10])
    docids = [tuple(row) for row in assignment.docids.tolist()]
    assert len(set(docids)) == len(corpus)
    assert all(map(any, docids))
