"""A process of several is killed or hangs: it is named within 15 s, and the restarted job ends with the same bytes.

tests/launch/lost_hosts.py strikes more often, and more processes, when it is started by hand.
"""

import random
import re
import signal
import subprocess
import sys

import pytest
from lost_hosts import ROOT, WITHIN, environment, joined, results, run, strike, write_config

pytestmark = pytest.mark.multiprocess
LAUNCH = ROOT / "launch" / "laptop.sh"


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The results of an undisturbed job of two processes, and its config."""
    folder = tmp_path_factory.mktemp("calm")
    config = write_config(folder, steps=60)
    assert run(folder, "calm", 2, config).wait(timeout=600) == 0
    return results(folder / "calm"), config


def test_three_kills_and_a_stop_are_seen_and_leave_the_same_bytes(calm, tmp_path):
    """One before there is a model, one of host 1 while it trains, one of host 0, to which all others talk, and one
    while they search, each for itself."""
    expected, config = calm
    job, log = run(tmp_path, "struck", 2, config, crashes=4), tmp_path / "struck.log"

    def trained(step):
        return any(int(path.name) >= step for path in tmp_path.glob("struck/checkpoints/*/*") if path.name.isdigit())

    dealt = [
        strike(job, log, signal.SIGKILL, 1, random.Random(0).uniform(2, 20)),
        strike(job, log, signal.SIGSTOP, 1, 1.0, lambda: trained(10)),
        strike(job, log, signal.SIGKILL, 0, 1.0, lambda: joined(log) and trained(30)),
        strike(job, log, signal.SIGKILL, 1, 1.0, lambda: "searching with GR2S" in log.read_text()),
    ]
    try:
        assert job.wait(timeout=600) == 0, log.read_text()
    finally:
        job.kill()
    assert all(blow is not None and blow.seconds < WITHIN + 2 for blow in dealt), dealt  # beside other tests
    said = log.read_text()
    assert re.search(r"gr2: host 1 \(.+\) has not been heard from for \d+ s", said), said
    assert said.count("restarting from the last checkpoint") == 4
    assert results(tmp_path / "struck") == expected


def test_two_processes_check_a_config(calm, tmp_path):
    command = [LAUNCH, "--processes", "2", "--python", sys.executable, "--", "check", str(calm[1])]
    for words, code in (([], 0), (["--mesh.data", "3"], 2)):
        line = [*command, "--workdir", str(tmp_path / "run"), *words]
        done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        assert ("WRONG" in done.stdout) == bool(words)
    assert "2 processes with the same settings read what each wrote" in done.stdout
    assert list((tmp_path / "run").iterdir()) == []
