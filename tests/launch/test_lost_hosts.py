"""A process of several is killed or hangs: it is named within 15 s, and the restarted job ends with the same bytes.

tests/launch/lost_hosts.py strikes more often, and more processes, when it is started by hand.
"""

import signal

import pytest
from lost_hosts import WITHIN, drill, results, run, write_config

pytestmark = pytest.mark.multiprocess


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The results of an undisturbed job of two processes, and its config."""
    folder = tmp_path_factory.mktemp("calm")
    config = write_config(folder, steps=60)
    assert run(folder, "calm", 2, config).wait(timeout=600) == 0
    return results(folder / "calm"), config


def test_two_kills_and_a_stop_are_seen_and_leave_the_same_bytes(calm, tmp_path):
    expected, config = calm
    blows = [signal.SIGKILL, signal.SIGSTOP, signal.SIGKILL]
    job = run(tmp_path, "struck", 2, config, crashes=len(blows))
    dealt = drill(job, tmp_path / "struck.log", 2, blows, longest=30.0, seed=3)
    assert len(dealt) == len(blows)
    assert {blow.host for blow in dealt} == {0, 1}
    log = (tmp_path / "struck.log").read_text()
    assert all(blow.seconds < WITHIN + 2 for blow in dealt), (dealt, log)  # the load of other tests
    assert any(text in log for text in (") has not been heard from for", ") is gone")), log
    assert results(tmp_path / "struck") == expected
