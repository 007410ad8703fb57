"""A bucket's folder and its copies, against real servers on loopback."""

import os
import subprocess
import sys

import fsspec
import pytest

from gr2_jax import buckets
from gr2_jax.errors import UserError
from gr2_jax.terminal import printable


def names(url):
    """Name -> contents of every file in the bucket's folder, as another program sees them."""
    files, base = fsspec.filesystem(url[:2]), url.partition("://")[2]
    files.invalidate_cache()
    return {name.removeprefix(f"{base}/"): files.cat_file(name) for name in files.find(base)}


@pytest.fixture
def again(monkeypatch):
    """`again(url)`: another process's copy."""

    def make(url):
        monkeypatch.setattr(buckets, "_copies", {})
        return buckets.local_copy(url)

    return make


def test_paths_that_are_no_url_stay_as_they_are(tmp_path):
    assert buckets.local_copy(tmp_path) == tmp_path
    assert buckets.local_copy("runs/mine") == buckets.Path("runs/mine")
    assert buckets.url_of(tmp_path / "x") is None
    buckets.push(tmp_path)
    buckets.pull(tmp_path)


def test_what_is_pushed_another_host_pulls(folder, again):
    here = buckets.local_copy(folder)
    assert here.is_dir()
    (here / "a" / "b").mkdir(parents=True)
    (here / "a" / "b" / "x.txt").write_text("x")
    (here / "y.bin").write_bytes(bytes(range(256)))
    buckets.push(here)
    assert names(folder) == {"a/b/x.txt": b"x", "y.bin": bytes(range(256))}
    assert buckets.url_of(here / "a") == f"{folder}/a"
    there = again(folder)
    assert there != here
    assert (there / "a" / "b" / "x.txt").read_text() == "x"
    assert (there / "y.bin").read_bytes() == bytes(range(256))


def test_files_that_are_gone_here_go_there_and_the_reverse(folder, again):
    here = buckets.local_copy(folder)
    for name in ("one", "two", "three"):
        (here / name).write_text(name)
    buckets.push(here)
    (here / "two").unlink()
    (here / "one").write_text("another")
    buckets.push(here)
    assert names(folder) == {"one": b"another", "three": b"three"}
    there = again(folder)
    (there / "three").unlink()
    (there / "extra").write_text("not pushed")
    buckets.pull(there)
    assert {path.name: path.read_text() for path in there.iterdir()} == {"one": "another", "three": "three"}


def test_a_part_is_pushed_and_pulled_alone(folder, again):
    here = buckets.local_copy(folder)
    for name in ("a/one", "b/two"):
        (here / name).parent.mkdir()
        (here / name).write_text(name)
    buckets.push(here / "a")
    assert names(folder) == {"a/one": b"a/one"}
    buckets.push(here / "b" / "two")
    there = again(folder)
    (there / "a" / "one").write_text("changed")
    (there / "b" / "two").write_text("changed")
    buckets.pull(there / "b" / "two")
    assert (there / "b" / "two").read_text() == "b/two"
    assert (there / "a" / "one").read_text() == "changed"


def test_only_what_changed_is_sent(folder, monkeypatch):
    here = buckets.local_copy(folder)
    for number in range(3):
        (here / str(number)).write_text(str(number))
    buckets.push(here)
    sent = []
    files = buckets._copies[folder].files
    monkeypatch.setattr(files, "put", lambda local, remote: sent.extend(remote))
    (here / "1").write_text("other")
    buckets.push(here)
    buckets.pull(here / "0")
    assert [name.rsplit("/", 1)[1] for name in sent] == ["1"]


def test_a_later_process_fetches_only_what_changed(folder, monkeypatch):
    here = buckets.local_copy(folder)
    (here / "kept").write_text("kept")
    buckets.push(here)
    fetched = []
    copy = buckets._copies[folder]
    later = buckets._Copy(folder, copy.files, copy.path, copy._file)
    monkeypatch.setattr(copy.files, "get", lambda remote, local: fetched.extend(remote))
    later.pull("")
    assert fetched == []


def test_a_folder_whose_push_was_cut_short_has_no_record(folder, monkeypatch):
    here = buckets.local_copy(folder) / "stage"
    here.mkdir()
    (here / "data").write_text("1")
    (here / "stage.json").write_text("1")
    buckets.push(here)
    assert names(folder) == {"stage/data": b"1", "stage/stage.json": b"1"}
    (here / "data").write_text("22")
    (here / "stage.json").write_text("22")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(buckets._copies[folder].files, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            buckets.push(here)
    assert names(folder) == {"stage/data": b"1"}
    buckets.push(here)
    assert names(folder) == {"stage/data": b"22", "stage/stage.json": b"22"}


def test_a_record_alone_is_replaced_and_not_taken_away_before(folder, monkeypatch):
    here = buckets.local_copy(folder)
    (here / "config.json").write_text("1")
    (here / "other").write_text("1")
    buckets.push(here)
    (here / "config.json").write_text("22")
    removed = []
    monkeypatch.setattr(buckets._copies[folder].files, "rm_file", removed.append)
    buckets.push(here)
    assert removed == []
    assert names(folder)["config.json"] == b"22"


def test_unfinished_work_and_locks_stay_on_this_host(folder):
    here = buckets.local_copy(folder, workdir=True)
    for name in (".lock", "docids.partial/x", "old/stage.old/y", "z.partial", "kept"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("")
    buckets.push(here)
    assert names(folder).keys() == {"kept"}
    buckets.pull(here)
    assert (here / "docids.partial" / "x").is_file()


def test_one_file_of_a_bucket(folder):
    here = buckets.local_copy(folder)
    (here / "config.py").write_text("experiment = 1")
    (here / "config.pyc").write_text("another")
    buckets.push(here)
    path = buckets.local_copy(f"{folder}/config.py")
    assert path.name == "config.py"
    assert path.read_text() == "experiment = 1"


def test_a_file_beside_its_copy(folder):
    path = buckets.local_copy(folder) / ".lock"
    assert buckets.read(path) is None
    assert buckets.write(path, "mine", new=True)
    assert not buckets.write(path, "theirs", new=True)
    assert buckets.read(path) == "mine"
    assert buckets.write(path, "taken over")
    assert buckets.read(path) == "taken over"
    buckets.remove(path)
    buckets.remove(path)
    assert buckets.read(path) is None
    assert not path.exists()


def test_a_bucket_that_is_not_there_is_one_sentence(store, folder):
    with pytest.raises(UserError, match=rf"{store[0]}://no-such-bucket/x"):
        buckets.push(_written(buckets.local_copy(f"{store[0]}://no-such-bucket/x")))


def _written(path):
    (path / "file").write_text("")
    return path


def test_a_package_that_is_not_installed_is_named(monkeypatch, tmp_path):
    def refuse(scheme):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setenv("GR2_BUCKETS", str(tmp_path))
    monkeypatch.setattr(fsspec, "filesystem", refuse)
    with pytest.raises(UserError, match=r"s3fs.*pip install -e"):
        buckets.local_copy("s3://bucket/never-opened")


def test_messages_name_the_url_and_not_the_copy(folder):
    here = buckets.local_copy(folder)
    assert printable(f"{here / 'config.json'} is damaged") == f"{folder}/config.json is damaged"
    assert buckets.shown(here / "x") == f"{folder}/x"


def test_a_folder_whose_name_begins_alike_is_another(folder):
    here, beside = buckets.local_copy(folder), buckets.local_copy(f"{folder}-2")
    (here / "one").write_text("1")
    (beside / "two").write_text("2")
    buckets.push(here)
    buckets.push(beside)
    buckets.pull(here)
    assert [path.name for path in here.iterdir()] == ["one"]
    assert names(folder) == {"one": b"1"}
    buckets.push(here / "on")
    assert names(folder) == {"one": b"1"}


def test_a_record_is_taken_away_before_what_is_deeper_in_its_folder_changes(folder, monkeypatch):
    here = buckets.local_copy(folder) / "stage"
    (here / "trie").mkdir(parents=True)
    for name in ("trie/array", "stage.json"):
        (here / name).write_text("1")
    buckets.push(here)
    (here / "trie" / "array").write_text("22")
    (here / "stage.json").write_text("22")
    with monkeypatch.context() as patch:
        patch.setattr(buckets._copies[folder].files, "put", lambda *_: 1 / 0)
        with pytest.raises(UserError):
            buckets.push(here)
    assert names(folder) == {"stage/trie/array": b"1"}


def test_of_data_every_file_is_copied(folder, again):
    here = buckets.local_copy(folder)
    for name in ("candidates/b.txt", "notes.old", ".locksmith.txt", "a.txt"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(name)
    buckets.push(here)
    there = again(folder)
    assert sorted(path.name for path in there.rglob("*.*")) == [".locksmith.txt", "a.txt", "b.txt", "notes.old"]


def test_a_file_that_goes_while_it_is_sent_is_left_out(folder, monkeypatch):
    here = buckets.local_copy(folder)
    for name in ("goes", "stays"):
        (here / name).write_text(name)
    copy = buckets._copies[folder]
    put = copy.files.put

    def meanwhile(local, remote):
        (here / "goes").unlink(missing_ok=True)
        return put(local, remote)

    monkeypatch.setattr(copy.files, "put", meanwhile)
    buckets.push(here)
    assert names(folder) == {"stays": b"stays"}


PROGRAM = """
from gr2_jax.compilation_cache import keep_compiled_programs
keep_compiled_programs()
import jax
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.jit(lambda x: x @ x + 1)(jax.numpy.ones((8, 8))).block_until_ready()
print(*(sum(event.endswith(end) for event in events) for end in ("cache_hits", "cache_misses")))
"""


def test_programs_that_one_host_compiled_are_read_by_another(folder):
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("JAX_COMPILATION", "JAX_PERSISTENT"))
    }
    environment = own | {"GR2_COMPILATION_CACHE": f"{folder}/compiled"}
    for expected in ("misses", "hits"):
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
        hits, misses = map(int, done.stdout.split()[-2:])
        assert (hits > 0, misses > 0) == (expected == "hits", expected == "misses"), done.stdout + done.stderr
