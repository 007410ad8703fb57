"""Whole runs whose workdir is in a bucket: the same files as on disk, and other hosts go on from them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from gr2_jax import buckets, open_retriever
from gr2_jax.cli import main
from gr2_jax.errors import UserError
from gr2_jax.lock import Holder, _taken_over, holding
from gr2_jax.pipeline.workdir import Workdir

PROGRAM = Path(__file__).with_name("bucket_run.py")
_PATH = os.pathsep.join([str(PROGRAM.parents[1] / "pipeline"), os.environ.get("PYTHONPATH", "")])


def contents(place, names=("runs", "metrics", "report", "docids", "vectors")):
    """Relative name -> bytes of what a run leaves to be read, but for what tells time."""
    if buckets.is_in_bucket(place):
        files, base = fsspec.filesystem(place[:2]), place.partition("://")[2]
        files.invalidate_cache()
        found = {name.removeprefix(f"{base}/"): files.cat_file(name) for name in files.find(base)}
    else:
        found = {str(path.relative_to(place)): path.read_bytes() for path in Path(place).rglob("*") if path.is_file()}
    timed = ("cost.json", "stage.json", ".partial", ".old")
    return {
        name: data
        for name, data in found.items()
        if name.split("/")[0] in names and not name.endswith(timed) and not name.startswith(("metrics", "report"))
    }


def run(workdir, source, copies, **environment):
    """Starts it on a host of its own: with its own folder of copies."""
    return subprocess.Popen(
        [sys.executable, PROGRAM, str(workdir), str(source)],
        env=os.environ | {"GR2_BUCKETS": str(copies), "PYTHONPATH": _PATH} | environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said[-3000:]
    return said


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    return tmp_path_factory.mktemp("source")


@pytest.fixture(scope="session")
def on_disk(source, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("disk") / "run"
    finish(run(workdir, source, source / "none"))
    return contents(workdir)


def test_a_run_in_a_bucket_leaves_the_files_of_one_on_disk(folder, source, on_disk, tmp_path, monkeypatch):
    said = finish(run(folder, source, tmp_path / "one"))
    assert len(on_disk) > 10
    assert contents(folder) == on_disk
    assert "training GR2S" in said
    said = finish(run(folder, source, tmp_path / "two"))  # another host makes nothing again
    assert "training" not in said
    assert contents(folder) == on_disk

    monkeypatch.setenv("GR2_BUCKETS", str(tmp_path / "three"))
    retriever = open_retriever(folder)
    assert retriever.search("how to sort matrix dense", k=2)[0].doc_id
    assert open_retriever(folder, "BM25").search("sort", k=1)[0].doc_id
    (step,) = {Path(path).parts[-2] for path in _checkpoints(folder)}
    assert step == "10"


def _checkpoints(url):
    files = fsspec.filesystem(url[:2])
    files.invalidate_cache()
    return [name for name in files.find(url.partition("://")[2]) if name.endswith("_CHECKPOINT_METADATA")]


def test_what_no_row_needs_is_removed_from_the_bucket(folder, source, on_disk, tmp_path, monkeypatch, capsys):
    finish(run(folder, source, tmp_path / "one"))
    monkeypatch.setenv("GR2_BUCKETS", str(tmp_path / "two"))
    files, base = fsspec.filesystem(folder[:2]), folder.partition("://")[2]
    old = f"checkpoints/GR2S-{'0' * 16}"
    for name in (f"{old}/stage.json", f"{old}/10/params/d/0", "vectors/Gone/stage.json", "runs/old/GR2S-1/test.trec"):
        files.pipe_file(f"{base}/{name}", b"{}")
    files.pipe_file(f"{base}/checkpoints/mine/notes.txt", b"mine")
    before = contents(folder, names=("checkpoints", "vectors", "runs", "docids"))

    def cleaned(*words):
        with pytest.raises(SystemExit) as stop:
            main(["clean", folder, *words])
        assert stop.value.code == 0
        return capsys.readouterr().out

    said = cleaned()
    assert f"{folder}/{old}  (a training that no row of the table has)" in said
    assert contents(folder, names=("checkpoints", "vectors", "runs", "docids")) == before
    cleaned("--yes")
    left = contents(folder, names=("checkpoints", "vectors", "runs", "docids"))
    assert left == {
        name: data for name, data in before.items() if not name.startswith((old, "vectors/Gone", "runs/old"))
    }
    assert "checkpoints/mine/notes.txt" in left
    assert "nothing to free" in cleaned()
    assert contents(folder) == on_disk


@pytest.mark.slow
def test_killed_again_and_again_on_changing_hosts_it_ends_with_the_same_files(folder, source, on_disk, tmp_path):
    kills, words = 0, ["searching with BM25", "docids: title", "training GR2S", "searching with GR2S", "searching with"]
    for host, word in enumerate(words):
        process = run(folder, source, tmp_path / f"host-{host}")
        for line in process.stderr:
            if word in line:
                process.kill()
                kills += 1
                break
        process.stderr.close()
        process.wait()
    assert kills >= 3  # what was done before is not said again
    finish(run(folder, source, tmp_path / "last"))
    assert contents(folder) == on_disk


@pytest.mark.multiprocess
def test_two_hosts_without_a_shared_disk_leave_the_files_of_two_that_share_one(folder, source, on_disk, tmp_path):
    if folder.startswith("s3"):
        for said in _of_two(folder, source, tmp_path, code=2):
            assert "takes the checkpoints of one process only" in said
        return
    shared = tmp_path / "run"
    _of_two(shared, source, tmp_path)
    _of_two(folder, source, tmp_path)
    assert contents(folder) == contents(shared)
    assert contents(folder).keys() == on_disk.keys()
    again = _of_two(folder, source, tmp_path / "others")
    assert not any("training" in said for said in again)


def _of_two(workdir, source, copies, code=0):
    """What two processes print that run as one job, each a host of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    job = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    hosts = [run(workdir, source, copies / f"of-{i}", **job, JAX_PROCESS_ID=str(i)) for i in range(2)]
    printed = [host.communicate(timeout=600)[1] for host in hosts]
    assert [host.returncode for host in hosts] == [code, code], printed
    return printed


def test_a_second_job_is_kept_out(folder, tmp_path, monkeypatch):
    here = buckets.local_copy(folder, workdir=True)
    with holding(here):
        assert buckets.read(here / ".lock")
        monkeypatch.setattr("gr2_jax.lock._LEAVES_WITHIN", 0.0)
        with pytest.raises(UserError, match=rf"{folder} is in use: process {os.getpid()} on this host"), holding(here):
            pass
    assert buckets.read(here / ".lock") is None
    with holding(here):
        pass


def test_a_folder_with_files_of_something_else_is_no_workdir(folder):
    here = buckets.local_copy(folder, workdir=True)
    (here / "corpus").mkdir()
    (here / "corpus" / "mine.txt").write_text("mine")
    buckets.push(here)
    with pytest.raises(UserError, match=f"{folder} holds files of something else"):
        Workdir(here).create()
    assert (here / "corpus" / "mine.txt").is_file()


def test_the_workdirs_of_seeds_and_folds_are_made_in_the_folder_of_their_run(folder):
    whole = Workdir(buckets.local_copy(folder, workdir=True))
    for paths in (whole, whole.seed(0), whole.seed(0).fold(1), whole.seed(0)):
        paths.create()
    assert contents(folder, names=(".gr2", "seed-0")).keys() == {".gr2", "seed-0/.gr2", "seed-0/fold-1/.gr2"}


def test_what_another_job_did_meanwhile_is_seen_once_the_lock_is_held(folder, monkeypatch):
    here = buckets.local_copy(folder, workdir=True)
    monkeypatch.setattr(buckets, "_copies", {})
    there = buckets.local_copy(folder, workdir=True)
    (there / "made").write_text("by another host")
    buckets.push(there)
    monkeypatch.setattr(buckets, "_copies", {folder: _copy_at(here, folder)})
    with holding(here):
        assert (here / "made").read_text() == "by another host"


def _copy_at(path, url):
    return buckets._Copy(url, buckets._file_system(url), path, path.parent / ".bucket.json", True)


def test_a_lock_that_another_overwrites_meanwhile_is_not_ours(folder, monkeypatch):
    lock = buckets.local_copy(folder, workdir=True) / ".lock"
    monkeypatch.setattr("gr2_jax.lock.time.sleep", lambda _: buckets.write(lock, "theirs"))
    assert not _taken_over(lock, "of one that is gone", Holder.here())
