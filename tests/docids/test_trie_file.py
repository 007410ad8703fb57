import json
import os
import shutil
import zlib

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.decoding.trie_arrays import STORED
from gr2_jax.docids.trie import DocidTrie
from gr2_jax.errors import UserError

DOCIDS = [[2, 3], [2], [70_000, 4, 5], *([2, 6, token] for token in range(10, 300))]
LEFTOVERS = [".trie.gr2-partial", ".trie.gr2-old"]
FILES = [f"{name}.npy" for name in STORED]


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
    for one, other in zip(*map(jax.tree.leaves, (trie.arrays, again.arrays)), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    again.save(saved.with_name("again"))
    assert contents(saved.with_name("again")) == contents(saved)
    assert sorted(contents(saved)) == sorted([*FILES, "trie.json"])


def test_is_memory_mapped(saved):
    for array in jax.tree.leaves(DocidTrie.load(saved).arrays):
        owner = array
        while not isinstance(owner, np.memmap):
            owner = owner.base
        assert not array.flags.writeable


def test_replaces_an_older_trie(saved):
    old = DocidTrie.load(saved)
    for leftover in LEFTOVERS:
        saved.with_name(leftover).mkdir()
        (saved.with_name(leftover) / "left.npy").write_bytes(b"by a writer that was killed")
    DocidTrie.from_sequences([[9]]).save(saved)
    assert DocidTrie.load(saved).sequences() == [[9]]
    assert [path.name for path in saved.parent.iterdir()] == ["trie"]
    assert sorted(contents(saved)) == sorted([*FILES, "trie.json"])
    assert old.sequences() == DOCIDS  # still mapped
    DocidTrie.load(saved).save(saved)  # onto the files it is mapped from
    assert DocidTrie.load(saved).sequences() == [[9]]


def test_replaces_a_trie_that_is_damaged_or_of_another_format(saved):
    write_header(saved, format="gr2_jax docid trie 9")
    (saved / "row.npy").unlink()
    DocidTrie.from_sequences([[9]]).save(saved)
    assert DocidTrie.load(saved).sequences() == [[9]]


def everything(folder):
    """The contents of the folder, recursively: the bytes of files and the targets of links."""
    names = sorted(folder.rglob("*"))
    return {name: name.readlink() if name.is_symlink() else name.is_file() and name.read_bytes() for name in names}


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.write_bytes(b"the user's"), "is a file"),
        (lambda path: path.mkdir(), r"is a directory without a readable trie\.json of a docid trie"),
        (lambda path: [path.mkdir(), (path / "notes").touch()], r"is a directory without a readable trie\.json"),
        (lambda path: [path.mkdir(), (path / "trie.json").write_text('{"format": "oak", "crc32": {}}')], "without a"),
        (lambda path: [path.mkdir(), (path / "trie.json").write_text("[]")], "without a readable"),
        (lambda path: [path.mkdir(), (path / "trie.json").write_bytes(b"\xff")], "without a readable"),
        (lambda path: path.symlink_to("nowhere"), "is a symbolic link"),
        (lambda path: path.symlink_to("written"), "is a symbolic link"),
        (lambda path: [shutil.copytree(path.with_name("written"), path), (path / "notes").touch()], "such as notes:"),
    ],
)
def test_other_files_are_left_alone(written, tmp_path, make, why):
    path = tmp_path / "trie"
    shutil.copytree(written, tmp_path / "written")
    make(path)
    before = everything(tmp_path)
    with pytest.raises(UserError, match=f"trie cannot be replaced by a docid trie because it .*{why}"):
        DocidTrie.from_sequences([[9]]).save(path)
    assert everything(tmp_path) == before


def test_neighbours_with_like_names_are_left_alone(saved):
    for end in ("old", "partial"):
        saved.with_name(f"trie.{end}").mkdir()
        (saved.with_name(f"trie.{end}") / "notes").write_text("the user's")
    DocidTrie.from_sequences([[9]]).save(saved)
    assert sorted(path.name for path in saved.parent.glob("*/notes")) == ["notes", "notes"]
    assert sorted(path.name for path in saved.parent.iterdir()) == ["trie", "trie.old", "trie.partial"]


@pytest.mark.parametrize("path", ["", ".", "..", "/", "folder/.."])
def test_a_path_without_a_name_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=r"^a docid trie cannot be saved as '.*': give the name of a directory, such as .*trie$"
    ):
        DocidTrie.from_sequences([[9]]).save(path)
    assert not list(tmp_path.iterdir())


def test_a_save_killed_between_the_renames_is_reported_and_can_be_repeated(saved, monkeypatch):
    real = os.replace

    def killed(source, target):
        if target == saved:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            DocidTrie.from_sequences([[9]]).save(saved)
    old = saved.with_name(".trie.gr2-old")
    with pytest.raises(UserError, match=f"^there is no docid trie at {saved}, but an .* older one at {old}: rename"):
        DocidTrie.load(saved)
    assert DocidTrie.load(old).sequences() == DOCIDS
    DocidTrie.from_sequences([[9]]).save(saved)
    assert DocidTrie.load(saved).sequences() == [[9]]
    assert [path.name for path in saved.parent.iterdir()] == ["trie"]


def test_another_vocabulary_is_refused(saved):
    assert DocidTrie.load(saved).vocabulary == "abc"
    with pytest.raises(UserError, match="was made with the vocabulary abc, not abd"):
        DocidTrie.load(saved, vocabulary="abd")
    DocidTrie.from_sequences(DOCIDS).save(saved)
    with pytest.raises(UserError, match="was made with an unrecorded vocabulary, not abd"):
        DocidTrie.load(saved, vocabulary="abd")


@pytest.mark.parametrize("name", [*FILES, "trie.json"])
def test_a_changed_byte_a_truncated_and_a_missing_file_are_refused(saved, name):
    file = saved / name
    whole = file.read_bytes()
    for place in {0, 9, len(whole) // 3, len(whole) // 2, len(whole) - 2, len(whole) - 1}:
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match=f"trie is (damaged|not a docid trie).*{name}|trie has the format"):
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
    """A changed header with a matching checksum, as another program might write it."""
    header = json.loads((path / "trie.json").read_text())
    del header["checksum"]
    header |= changes
    header["checksum"] = zlib.crc32(json.dumps(header).encode())
    (path / "trie.json").write_text(json.dumps(header, indent=1) + "\n")


def test_another_format_is_refused(saved):
    write_header(saved)
    DocidTrie.load(saved)
    write_header(saved, format="gr2_jax docid trie 9")
    with pytest.raises(UserError, match=r"has the format '.* 9', not 'gr2_jax docid trie 3'"):
        DocidTrie.load(saved)


@pytest.mark.parametrize("name", ["vocabulary", "eos_id", "counts", "crc32"])
def test_a_header_without_one_of_its_fields_is_refused(saved, name):
    header = json.loads((saved / "trie.json").read_text())
    del header["checksum"], header[name]
    header["checksum"] = zlib.crc32(json.dumps(header).encode())
    (saved / "trie.json").write_text(json.dumps(header, indent=1) + "\n")
    with pytest.raises(UserError, match=r"trie\.json does not describe a trie"):
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
    with pytest.raises(UserError, match=r"there is no docid trie at .*missing$"):
        DocidTrie.load(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty is not a docid trie, or its trie\.json is missing"):
        DocidTrie.load(tmp_path / "empty")
    (tmp_path / "empty" / "trie.json").write_text("[]")
    with pytest.raises(UserError, match="empty is not a docid trie"):
        DocidTrie.load(tmp_path / "empty")


def sign(path):
    """Makes the checksums match the files, as a stranger can."""
    header = json.loads((path / "trie.json").read_text())
    crc32 = {name: zlib.crc32((path / f"{name}.npy").read_bytes()) for name in header["crc32"]}
    write_header(path, crc32=crc32)


def test_forged_checksums_of_the_true_files_are_accepted(saved):
    sign(saved)
    assert DocidTrie.load(saved).sequences() == DOCIDS


@pytest.mark.parametrize(
    ("name", "forge"),
    [
        ("wide", lambda wide: wide * 0),  # the root would be its own child, for ever
        ("wide", lambda wide: wide + (wide > 2)),
        ("offset", lambda offset: offset[::-1].copy()),
        ("row", lambda row: row * 0),  # one document with every docid
        ("row", lambda row: row + 1),
        ("row", lambda row: -row),
        ("token", lambda token: token * 0),
        ("token", lambda token: np.ones_like(token)),  # every edge an end
        ("leaf_bits", lambda bits: ~bits),
        ("leaves_before", lambda counts: counts + 1),
        ("alone_bits", lambda bits: ~bits),
        ("base", lambda base: np.minimum(base, -1)),
        ("token", lambda token: token.astype(np.int64)),
        ("token", lambda token: token[:-1]),
    ],
)
def test_a_signed_trie_that_is_none_is_refused(saved, name, forge):
    file = saved / f"{name}.npy"
    np.save(file, forge(np.load(file)))
    sign(saved)
    with pytest.raises(UserError, match="trie is damaged: its arrays do not fit together"):
        DocidTrie.load(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"counts": {"docids": 10**15, "nodes": 10**15}},
        {"counts": {"docids": -1, "nodes": -1}},
        {"counts": {}},
        {"counts": [1, 2]},
        {"counts": {"docids": "many", "nodes": 1}},
        {"eos_id": "1"},
        {"eos_id": None},
        {"crc32": {}},
        {"vocabulary": 5},
    ],
)
def test_a_signed_header_that_describes_no_trie_is_refused(saved, changes):
    write_header(saved, **changes)
    with pytest.raises(UserError, match="trie is damaged"):
        DocidTrie.load(saved)


def test_a_signed_header_of_an_array_that_claims_more_than_there_is(saved):
    content = (saved / "row.npy").read_bytes()
    (saved / "row.npy").write_bytes(content.replace(b"(293,), }   ", b"(999999,), }"))
    sign(saved)
    with pytest.raises(UserError, match=r"row.npy is damaged: its header promises"):
        DocidTrie.load(saved)


@settings(max_examples=120)
@given(st.data())
def test_signed_damage_is_a_trie_or_refused(written, tmp_path_factory, data):
    """Whatever is accepted can be walked to its end, within bounds."""
    path = shutil.copytree(written, tmp_path_factory.mktemp("signed") / "trie")
    file = path / data.draw(st.sampled_from(FILES))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    sign(path)
    try:
        trie = DocidTrie.load(path)
    except UserError:
        return
    assert len(trie.sequences()) == len(DOCIDS)
    assert trie.widths(4)[0] <= len(DOCIDS) + 1
