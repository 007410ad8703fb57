import itertools
import json

import numpy as np
import pytest

from gr2_jax.docids import candidate_shards as shards
from gr2_jax.docids.assignment import assign_unique
from gr2_jax.docids.candidate_shards import make_shards, read_shards
from gr2_jax.errors import UserError

ROWS = np.arange(3, 50, 2)  # 24 of them: shards of 5, 5, 5, 5 and 4
SETTINGS = {"shard_size": 5, "fingerprint": "a model"}


def lists_of(rows):
    """Two docids of one to three tokens per row, many of them alike; wider where the rows need it."""
    tokens = np.stack([rows % 4, rows % 3], axis=1)[..., None] + [1, 2, 3]
    return np.where(np.arange(3) <= (rows % 3)[:, None, None], tokens, 0)


class Maker:
    """Makes lists, remembers for which rows, and stops before the shard after the `stop`-th."""

    def __init__(self, stop=None):
        self.made, self.stop = [], stop

    def __call__(self, rows):
        if len(self.made) == self.stop:
            raise KeyboardInterrupt
        self.made.append(rows.tolist())
        return lists_of(rows)


def files(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def whole(tmp_path):
    make_shards(tmp_path / "whole", ROWS, lists_of, **SETTINGS)
    return tmp_path / "whole"


def test_lists_are_read_as_made(whole):
    read = list(read_shards(whole))
    assert [len(lists) for lists in read] == [5, 5, 5, 5, 4]
    for lists, start in zip(read, range(0, 24, 5), strict=True):
        np.testing.assert_array_equal(lists, lists_of(ROWS[start : start + 5]))
        assert lists.dtype == np.uint16
    made = json.loads((whole / "shards.json").read_text())
    assert (made["fingerprint"], made["rows"], made["shard_size"], made["shards"]) == ("a model", 24, 5, 5)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_four_hosts_in_any_order_write_the_same_bytes(whole, tmp_path, order):
    for host in order:
        make_shards(tmp_path / "shared", ROWS, lists_of, host=host, hosts=4, **SETTINGS)
    assert files(tmp_path / "shared") == files(whole)
    one, other = (assign_unique(read_shards(d), suffix_tokens=[7, 8]) for d in (whole, tmp_path / "shared"))
    assert one.docids.tobytes() == other.docids.tobytes()
    assert one.choices.tobytes() == other.choices.tobytes()


def test_hosts_share_the_shards_and_report_progress(tmp_path):
    done = []
    makers = [Maker() for _ in range(7)]
    for host, maker in enumerate(makers):
        make_shards(tmp_path, ROWS, maker, host=host, hosts=7, advance=done.append, **SETTINGS)
    assert [maker.made for maker in makers] == [[ROWS[s : s + 5].tolist()] for s in range(0, 24, 5)] + [[], []]
    assert done == [5, 5, 5, 5, 4]


def test_killed_and_started_again_makes_only_what_is_missing(whole, tmp_path):
    directory, first, second, done = tmp_path / "killed", Maker(stop=3), Maker(), []
    with pytest.raises(KeyboardInterrupt):
        make_shards(directory, ROWS, first, **SETTINGS)
    with pytest.raises(UserError, match=r"-00003-of-00005\.npy is missing: the host that makes it has not finished"):
        list(read_shards(directory))
    half_written = next(directory.glob("*-00002-*.npy"))
    half_written.rename(half_written.with_name(half_written.name + ".partial"))  # killed just before it was renamed
    make_shards(directory, ROWS, second, advance=done.append, **SETTINGS)
    assert second.made == [ROWS[10:15].tolist(), ROWS[15:20].tolist(), ROWS[20:].tolist()]
    assert done == [5, 5, 5, 5, 4]
    assert files(directory) == files(whole)


@pytest.mark.parametrize(
    "change", [{"fingerprint": "another"}, {"shard_size": 6}, {"rows": ROWS + 1}, {"rows": ROWS[:-1]}]
)
def test_shards_of_something_else_are_removed(whole, change):
    mine, before, maker = whole / "notes.txt", set(files(whole)), Maker()
    mine.write_text("not a shard")
    make_shards(whole, change.get("rows", ROWS), maker, **SETTINGS | {k: v for k, v in change.items() if k != "rows"})
    assert sum(map(len, maker.made)) == len(change.get("rows", ROWS))
    assert set(files(whole)) & before == {"shards.json"}
    assert mine.exists()
    assert sum(len(lists) for lists in read_shards(whole)) == len(change.get("rows", ROWS))


def test_a_late_start_of_another_host_removes_nothing(whole):
    before = files(whole)
    make_shards(whole, ROWS, Maker(stop=0), host=1, hosts=2, **SETTINGS)
    assert files(whole) == before


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b.replace(b"\4\0", b"\5\0", 1)]
)
def test_a_damaged_shard_is_refused_and_made_again(whole, damage):
    path, before, maker = next(whole.glob("*-00001-*.npy")), files(whole), Maker()
    path.write_bytes(damage(path.read_bytes()))
    assert files(whole) != before
    with pytest.raises(UserError, match=r"-00001-of-00005\.npy is damaged: make it again"):
        list(read_shards(whole))
    make_shards(whole, ROWS, maker, **SETTINGS)
    assert maker.made == [ROWS[5:10].tolist()]
    assert files(whole) == before


def test_every_flipped_byte_is_detected(whole):
    path = next(whole.glob("*-00001-*.npy"))
    content, lists = path.read_bytes(), lists_of(ROWS[5:10])
    np.testing.assert_array_equal(np.load(path), lists)  # NumPy reads it as well
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert shards._read(path) is None


def test_no_rows_make_no_shards(tmp_path):
    make_shards(tmp_path, ROWS[:0], lists_of, **SETTINGS)
    assert list(read_shards(tmp_path)) == []


def test_refuses_to_read_where_nothing_was_made(tmp_path):
    with pytest.raises(UserError, match="no host has begun"):
        list(read_shards(tmp_path))
    (tmp_path / "shards.json").write_text("{}")
    with pytest.raises(UserError, match=r"has no readable shards\.json"):
        list(read_shards(tmp_path))


@pytest.mark.parametrize("wrong", [{"host": 2, "hosts": 2}, {"host": -1}, {"shard_size": 0}])
def test_refuses_hosts_and_sizes_out_of_range(tmp_path, wrong):
    with pytest.raises(UserError, match="cannot be made by host"):
        make_shards(tmp_path, ROWS, lists_of, **SETTINGS | wrong)


def test_refuses_wrong_lists(tmp_path):
    with pytest.raises(UserError, match=r"-00000-of-00005\.npy needs lists for 5 documents, not 4"):
        make_shards(tmp_path, ROWS, lambda rows: lists_of(rows[1:]), **SETTINGS)
    with pytest.raises(UserError, match="must be an integer array"):
        make_shards(tmp_path, ROWS, lambda rows: lists_of(rows) / 2, **SETTINGS)
