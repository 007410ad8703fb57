"""One job at a time in a folder, and none that is gone in its way."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax import lock
from gr2_jax.errors import UserError
from gr2_jax.lock import LOCK_FILE, Holder, holding

HOLD = (
    "import signal, sys, time; from pathlib import Path; from gr2_jax.lock import holding\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job is born without
    "with holding(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
)
ELSEWHERE = {"host": "far-away", "machine": "another machine", "boot": "another boot"}


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    monkeypatch.setattr(lock, "_LEAVES_WITHIN", 0.1)


@pytest.fixture
def other(tmp_path):
    """Another process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def write_lock(folder, **changes):
    (folder / LOCK_FILE).write_text(json.dumps(dataclasses.asdict(Holder.here()) | changes))


def test_the_lock_names_its_holder_and_goes_with_the_block(tmp_path):
    with holding(tmp_path):
        found = json.loads((tmp_path / LOCK_FILE).read_text())
        assert (found["pid"], found["host"]) == (os.getpid(), Holder.here().host)
        assert [path.name for path in tmp_path.iterdir()] == [LOCK_FILE]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="x"), holding(tmp_path):
        raise ValueError("x")
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_is_refused_with_the_first_one_s_number_and_start(tmp_path, other):
    before = (tmp_path / LOCK_FILE).read_bytes()
    said = rf"{tmp_path} is in use: process {other.pid} on this host has worked there since \d{{4}}-.*: wait for it"
    with pytest.raises(UserError, match=said) as raised, holding(tmp_path):
        pytest.fail("both hold the folder")
    assert "remove" not in str(raised.value)
    assert (tmp_path / LOCK_FILE).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_FILE]


def test_a_lock_of_a_killed_process_is_taken_over(tmp_path, other, capsys):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with holding(tmp_path):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert f"process {other.pid} on" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_about_to_leave_is_waited_for(tmp_path, other, monkeypatch):
    monkeypatch.setattr(lock, "_LEAVES_WITHIN", 30.0)
    other.send_signal(signal.SIGINT)
    with holding(tmp_path):
        assert other.wait(timeout=30) != 0


def test_a_number_that_another_process_has_now_is_no_holder(tmp_path):
    write_lock(tmp_path, started="1")  # process 1's age, under our number
    with holding(tmp_path):
        pass


def test_a_lock_from_before_the_machine_started_again_is_taken_over(tmp_path):
    write_lock(tmp_path, boot="before")
    with holding(tmp_path):
        pass


def test_another_machine_of_the_same_name_is_not_taken_for_this_one(tmp_path):
    write_lock(tmp_path, machine="", boot="another")
    with pytest.raises(UserError, match="in use"), holding(tmp_path):
        pass


def test_another_host_is_named_with_the_way_to_remove_its_lock(tmp_path):
    write_lock(tmp_path, **ELSEWHERE, since="2026-01-01 00:00:00+00:00", command="gr2 run configs/x.py", pid=7)
    said = r"process 7 on host far-away has worked there since 2026-01-01 .*\(gr2 run configs/x.py\)"
    with pytest.raises(UserError, match=rf"{said}.*; if it is gone, remove {tmp_path / LOCK_FILE}$"), holding(tmp_path):
        pass
    (tmp_path / LOCK_FILE).unlink()
    with holding(tmp_path):
        pass


def test_an_earlier_start_of_the_same_job_on_a_lost_host_is_no_obstacle(tmp_path, monkeypatch):
    """The launch scripts name the job, and start it again only when its processes are gone."""
    write_lock(tmp_path, **ELSEWHERE, job="gr2-7")
    with pytest.raises(UserError, match="far-away"), holding(tmp_path):
        pass
    monkeypatch.setenv("GR2_JOB", "gr2-7")
    with holding(tmp_path):
        pass


def test_a_job_of_slurm_that_runs_on_two_hosts_at_once_excludes_itself(tmp_path, monkeypatch):
    """Two `srun` of one allocation have one number. Only an earlier start of the job, before it went back into the
    queue, is known to be gone."""
    monkeypatch.delenv("GR2_JOB", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    write_lock(tmp_path, **ELSEWHERE)
    with pytest.raises(UserError, match="on host far-away"), holding(tmp_path):
        pass
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with holding(tmp_path):
        found = json.loads((tmp_path / LOCK_FILE).read_text())
        assert (found["job"], found["start"]) == ("17", 1)
    write_lock(tmp_path, **ELSEWHERE)
    with pytest.raises(UserError, match="on host far-away"), holding(tmp_path):
        pass  # it was started again on both
    write_lock(tmp_path, **ELSEWHERE, start=2)
    with pytest.raises(UserError, match="on host far-away"), holding(tmp_path):
        pass
    write_lock(tmp_path, **ELSEWHERE, start=0, job="16")
    with pytest.raises(UserError, match="on host far-away"), holding(tmp_path):
        pass


def test_two_starts_of_one_job_on_one_host_still_exclude_each_other(tmp_path, monkeypatch):
    monkeypatch.setenv("GR2_JOB", "gr2-7")
    with holding(tmp_path), pytest.raises(UserError, match="in use"), holding(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x"}', "\x00" * 40, "[" * 100_000])
def test_a_lock_that_says_nothing_is_no_reason_to_go_on(tmp_path, text):
    (tmp_path / LOCK_FILE).write_text(text)
    with pytest.raises(UserError, match=rf"does not say by whom.*remove {tmp_path / LOCK_FILE}"), holding(tmp_path):
        pass
    assert (tmp_path / LOCK_FILE).read_text() == text


def test_without_second_names_for_files_the_lock_is_as_good(tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    with holding(tmp_path), pytest.raises(UserError, match="in use"), holding(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_no_lock(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(UserError, match=r"cannot write .*\.lock: No space left"), holding(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_clock_that_goes_backwards_changes_nothing(tmp_path, other, monkeypatch):
    write_lock(tmp_path, pid=other.pid, started=lock._start_of(other.pid), since="2999-01-01 00:00:00+00:00")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    with pytest.raises(UserError, match="since 2999"), holding(tmp_path):
        pass


RACE = (
    "import sys, time; from pathlib import Path; from gr2_jax import lock; from gr2_jax.errors import UserError\n"
    "lock._LEAVES_WITHIN = 0.0\n"
    "print('ready', flush=True)\n"
    "while not Path(sys.argv[1], 'go').exists(): pass\n"
    "try:\n"
    "    with lock.holding(Path(sys.argv[1])):\n"
    "        time.sleep(2); print('held')\n"
    "except UserError:\n    print('refused')"
)


@pytest.mark.parametrize("stale", [False, True])
def test_of_processes_that_come_at_once_one_gets_the_folder(tmp_path, stale):
    """Also where all of them find a lock whose holder is gone."""
    if stale:
        write_lock(tmp_path, started="1")
    command = [sys.executable, "-c", RACE, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
    (tmp_path / "go").touch()
    said = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert said == ["held", "refused", "refused", "refused"]


@settings(max_examples=200)
@given(
    st.fixed_dictionaries(
        {
            "host": st.sampled_from(["here", "there"]),
            "machine": st.sampled_from(["", "m", "n"]),
            "boot": st.sampled_from(["", "b", "c"]),
            "alive": st.booleans(),
            "job": st.sampled_from(["", "j", "k"]),
            "start": st.sampled_from([-1, 0, 1, 2]),
        }
    ),
    st.sampled_from(["", "m"]),
    st.sampled_from(["", "j"]),
    st.sampled_from([-1, 0, 1]),
)
def test_a_living_process_is_never_gone(their, machine, job, start):
    """Whatever is known: only a process of this machine that does not run, or of an earlier start of the same job
    elsewhere, is gone."""
    fields = dataclasses.asdict(Holder.here())
    me = Holder(**fields | {"host": "here", "machine": machine, "boot": "b", "job": job, "start": start})
    alive = their.pop("alive")
    holder = Holder(**fields | their | ({} if alive else {"started": "1"}))
    gone = holder.is_gone(me)
    if holder.host == "here" and holder.machine == machine and holder.boot == "b":
        assert gone == (not alive)
    elif (holder.host, holder.machine) != ("here", machine):
        assert gone == (bool(job) and holder.job == job and (start == -1 or holder.start < start))
