"""launch/host.sh: a lost connection neither ends a command nor starts it twice."""

import subprocess
import time
from pathlib import Path

HOST = Path(__file__).resolve().parents[2] / "launch" / "host.sh"


def test_the_commands_output_and_code_come_back(shell):
    done = shell("host.sh", "1", "bash", "-c", "echo to be seen; echo this too >&2; exit 75", code=75)
    assert done.stdout.splitlines() == ["to be seen", "this too"]


def test_a_second_connection_follows_the_running_command(shell):
    shell.pretend("fake", "echo begun; sleep 1; echo done; exit 3")
    first = subprocess.Popen([HOST, "1", "fake"], env=shell.environment, stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "begun\n"
    first.kill()  # the connection breaks
    first.wait()
    assert shell("host.sh", "1", "fake", code=3).stdout.splitlines() == ["begun", "done"]
    assert shell("host.sh", "1", "fake", code=3).stdout.splitlines() == ["begun", "done"]
    assert len(shell.calls()) == 1


def test_a_new_round_first_terminates_the_running_command(shell):
    shell.pretend(
        "fake", f"trap 'touch {shell.folder}/saved; exit 75' TERM; echo begun; for i in {{1..100}}; do sleep 0.1; done"
    )
    first = subprocess.Popen([HOST, "1", "fake"], env=shell.environment, stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "begun\n"
    assert shell("host.sh", "2", "ls", "saved").stdout == "saved\n"
    assert first.wait(timeout=10) in (75, 137)


def test_a_host_that_went_down_differs_from_a_command_that_ended(shell):
    first = subprocess.Popen([HOST, "1", "sleep", "30"], env=shell.environment)
    pid = shell.folder / ".gr2_rounds" / "1" / "pid"
    deadline = time.monotonic() + 10
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    subprocess.run(["bash", "-c", f"kill -KILL -- -{pid.read_text().strip()}"], check=True)
    assert first.wait(timeout=10) == 137
