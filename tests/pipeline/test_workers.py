"""Worker processes: the order of results, and how they and the process that waits for them end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gr2_jax.errors import UserError
from gr2_jax.pipeline.workers import VARIABLE, asked_for, in_workers, without_workers, worker_count

PID, SLEEP = "__import__('os').getpid()", "__import__('time').sleep(600)"
PROGRAM = f"""
import signal
from gr2_jax.pipeline.workers import in_workers

signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background inherit that it is ignored
try:
    for pid in in_workers(eval, [{PID!r}, {PID!r}, *[{SLEEP!r}] * 6]):
        print(pid, flush=True)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setenv(VARIABLE, "2")


def test_results_come_in_the_order_of_the_items(two):
    assert list(in_workers(abs, range(-20, 0))) == list(range(20, 0, -1))


def test_workers_are_other_processes_without_jax(two):
    pids = set(in_workers(eval, [PID] * 8))
    assert os.getpid() not in pids
    assert list(in_workers(eval, ["'jax' in __import__('sys').modules"])) == [False]


def test_one_process_works_alone_where_it_is_measured(two):
    with without_workers():
        assert worker_count() == 1
        assert set(in_workers(eval, [PID] * 3)) == {os.getpid()}
    assert worker_count() == 2


def test_by_default_there_is_a_worker_for_each_core(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert 1 <= worker_count() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize("given", ["", "0", "-1", "2.5", "many", "10000"])
def test_another_number_of_workers_is_refused(monkeypatch, given):
    monkeypatch.setenv(VARIABLE, given)
    with pytest.raises(UserError, match=f"{VARIABLE} is '{given}': it must be a whole number"):
        asked_for()


def test_a_worker_that_is_killed_is_one_sentence(two):
    with pytest.raises(UserError, match=f"ended from outside.*the same command goes on.*smaller {VARIABLE} than 2"):
        list(in_workers(eval, ["__import__('os').kill(__import__('os').getpid(), 9)"] * 3))


def test_a_worker_that_fails_is_one_sentence_below_its_own(two, capfd):
    with pytest.raises(UserError, match="a worker process failed, as it says above"):
        list(in_workers(eval, ["lambda: 0"]))  # which cannot be handed over
    assert "pickle" in capfd.readouterr().err


def test_workers_leave_signals_to_the_process_that_waits_for_them(two):
    (status,) = in_workers(eval, ["open('/proc/self/status').read()"])
    blocked = int(next(line for line in status.splitlines() if line.startswith("SigBlk")).split()[1], 16)
    assert all(blocked >> (number - 1) & 1 for number in (signal.SIGINT, signal.SIGTERM))
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT, signal.SIGTERM}


def test_errors_of_workers_arrive(two):
    with pytest.raises(ZeroDivisionError):
        list(in_workers(eval, ["1", "1 / 0", "1"]))
    setting = "(_ for _ in ()).throw(__import__('gr2_jax.errors').errors.SettingError(1, 'field', 'is 2'))"
    with pytest.raises(UserError, match=r"int\.field is 2"):  # which cannot be pickled
        list(in_workers(eval, [setting]))


def test_what_a_worker_prints_is_no_result(two):
    assert list(in_workers(eval, ["print('printed') or 3"])) == [3]


@pytest.fixture
def working(tmp_path):
    """A program with two workers that work for ten minutes, and their numbers."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {VARIABLE: "2", "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as program:
        yield program, {int(program.stdout.readline()) for _ in range(2)}
        program.kill()


def have_ended(pids):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_workers_end_with_a_program_that_is_killed(working):
    program, pids = working
    program.kill()
    assert have_ended(pids)


def test_ctrl_c_ends_the_workers_without_a_word(working):
    program, pids = working
    os.killpg(program.pid, signal.SIGINT)
    assert program.communicate(timeout=60) == ("stopped\n", "")
    assert have_ended(pids)
