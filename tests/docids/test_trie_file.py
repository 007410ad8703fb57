import json
import shutil
import zlib

import numpy as np
import pytest

from gr2_jax.decoding import TrieArrays
from gr2_jax.docids.trie import DocidTrie
from gr2_jax.errors import UserError

DOCIDS = [[2, 3], [2], [70_000, 4, 5], *([2, 6, token] for token in range(10, 300))]
FILES = [f"{name}.npy" for name in TrieArrays._fields]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "trie"
    DocidTrie.from_sequences(DOCIDS, vocabulary="abc").save(path)
    return path


@pytest.fixture
def saved(written, tmp_path):
    return shutil.copytree(written, tmp_path / "trie")


def contents(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_round_trip_to_the_same_arrays_and_bytes(saved):
    trie = DocidTrie.load(saved, vocabulary="abc")
    assert trie.sequences() == DOCIDS
    assert (trie.eos_id, trie.vocabulary) == (1, "abc")
    again = DocidTrie.from_sequences(trie.docids(), vocabulary=trie.vocabulary)
    for one, other in zip(trie.arrays, again.arrays, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    again.save(saved.with_name("again"))
    assert contents(saved.with_name("again")) == contents(saved)
    assert sorted(contents(saved)) == sorted([*FILES, "trie.json"])


def test_is_mapped_not_read(saved):
    for array in DocidTrie.load(saved).arrays:
        owner = array
        while not isinstance(owner, np.memmap):
            owner = owner.base
        assert not array.flags.writeable


def test_takes_the_place_of_an_older_one(saved):
    old = DocidTrie.load(saved)
    (saved.with_name("trie.partial")).mkdir()
    (saved.with_name("trie.partial") / "left.npy").write_bytes(b"by a writer that was killed")
    DocidTrie.from_sequences([[9]]).save(saved)
    assert DocidTrie.load(saved).sequences() == [[9]]
    assert [path.name for path in saved.parent.iterdir()] == ["trie"]
    assert sorted(contents(saved)) == sorted([*FILES, "trie.json"])
    assert old.sequences() == DOCIDS  # still mapped
    DocidTrie.load(saved).save(saved)  # onto the files it is mapped from
    assert DocidTrie.load(saved).sequences() == [[9]]


def test_takes_the_place_of_a_file(tmp_path):
    (tmp_path / "trie").write_bytes(b"of an older version")
    with pytest.raises(UserError, match="trie is not a docid trie"):
        DocidTrie.load(tmp_path / "trie")
    DocidTrie.from_sequences([[9]]).save(tmp_path / "trie")
    assert DocidTrie.load(tmp_path / "trie").sequences() == [[9]]


def test_another_vocabulary_is_refused(saved):
    assert DocidTrie.load(saved).vocabulary == "abc"
    with pytest.raises(UserError, match="was made with another vocabulary, of fingerprint abc, not abd"):
        DocidTrie.load(saved, vocabulary="abd")
    DocidTrie.from_sequences(DOCIDS).save(saved)
    with pytest.raises(UserError, match="was made with another vocabulary, that was not recorded, not abd"):
        DocidTrie.load(saved, vocabulary="abd")


@pytest.mark.parametrize("name", [*FILES, "trie.json"])
def test_a_changed_byte_a_truncated_and_a_missing_file_are_refused(saved, name):
    file = saved / name
    whole = file.read_bytes()
    for place in {0, 9, len(whole) // 3, len(whole) // 2, len(whole) - 2, len(whole) - 1}:
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match=f"trie is (damaged|not a docid trie).*{name}|trie is not a docid trie in"):
            DocidTrie.load(saved)
    for length in {0, 10, len(whole) // 2, len(whole) - 1}:
        file.write_bytes(whole[:length])
        with pytest.raises(UserError, match=f"trie is (damaged|not a docid trie).*{name}"):
            DocidTrie.load(saved)
    file.write_bytes(whole + b"\0")
    with pytest.raises(UserError, match=f"trie is (damaged|not a docid trie).*{name}"):
        DocidTrie.load(saved)
    file.unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        DocidTrie.load(saved)


def test_every_byte_of_the_header_counts(saved):
    file = saved / "trie.json"
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :])
        with pytest.raises(UserError):
            DocidTrie.load(saved)


def write_header(path, **changes):
    """A header that has its checksum, as another program might write it."""
    header = json.loads((path / "trie.json").read_text())
    del header["checksum"]
    header |= changes
    header["checksum"] = zlib.crc32(json.dumps(header).encode())
    (path / "trie.json").write_text(json.dumps(header, indent=1) + "\n")


def test_another_format_is_refused(saved):
    write_header(saved)
    DocidTrie.load(saved)
    write_header(saved, format="gr2_jax docid trie 9")
    with pytest.raises(UserError, match=r"is not a docid trie in the format 'gr2_jax docid trie 2' but in .* 9'"):
        DocidTrie.load(saved)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("row", lambda a: a[:-1]),
        ("token", lambda a: a.astype(np.int64)),
        ("token", lambda a: a[:-1]),
        ("base", lambda a: a - 1),
        ("offset", lambda a: a.astype(np.int32)),
        ("wide", lambda a: a + 1),
        ("leaves_before", lambda a: a + 1),
        ("leaf_bits", lambda a: ~a),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(saved, name, change):
    np.save(saved / f"{name}.npy", change(np.load(saved / f"{name}.npy")))
    checksums = json.loads((saved / "trie.json").read_text())["crc32"]
    write_header(saved, crc32=checksums | {name: zlib.crc32((saved / f"{name}.npy").read_bytes())})
    with pytest.raises(UserError, match="is damaged: its arrays do not fit together"):
        DocidTrie.load(saved)


def test_what_is_not_a_trie_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"there is no docid trie at .*missing"):
        DocidTrie.load(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty is not a docid trie, or its trie\.json is missing"):
        DocidTrie.load(tmp_path / "empty")
    (tmp_path / "empty" / "trie.json").write_text("[]")
    with pytest.raises(UserError, match="empty is not a docid trie"):
        DocidTrie.load(tmp_path / "empty")
