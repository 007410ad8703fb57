"""Who is named as lost, and how long a silence may last; what JAX does about it is in tests/launch."""

import threading
import time

import pytest

from gr2_jax import heartbeat
from gr2_jax.errors import UserError
from gr2_jax.heartbeat import Roll, Watch, heartbeat_seconds


def test_the_time_is_a_variable(monkeypatch):
    monkeypatch.delenv(heartbeat.VARIABLE, raising=False)
    assert heartbeat_seconds() == 12
    monkeypatch.setenv(heartbeat.VARIABLE, "60")
    assert heartbeat_seconds() == 60


@pytest.mark.parametrize("text", ["3", "soon", "12.5", "-12", "²"])
def test_a_time_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv(heartbeat.VARIABLE, text)
    with pytest.raises(UserError, match=f"GR2_HEARTBEAT_SECONDS is '{text}': it must be a whole number of seconds"):
        heartbeat_seconds()


def test_a_host_is_named_once_when_its_count_stands_still_and_once_when_it_goes_on():
    roll = Roll(3, 5.0, 100.0)
    roll.hear(1, "0", "node-1", 101.0)
    roll.hear(2, "0", "node-2", 101.0)
    roll.hear(0, "9", "node-0", 106.0)
    assert roll.news(106.0) == []
    roll.hear(1, "1", "node-1", 106.0)
    roll.hear(2, "0", "node-2", 106.0)  # the same count
    assert roll.news(107.0) == ["host 2 (node-2) has not been heard from for 6 s"]
    assert roll.news(108.0) == []
    roll.hear(2, "1", "node-2", 109.0)
    assert roll.news(109.0) == ["host 2 (node-2) is heard from again"]


def test_a_host_that_never_counted_has_no_name_and_one_that_left_is_not_expected():
    roll = Roll(3, 5.0, 100.0)
    roll.hear(0, "1", "node-0", 104.0)
    roll.hear(2, "left", "node-2", 104.0)
    assert roll.news(106.0) == ["host 1 has not been heard from for 6 s"]
    roll.hear(2, "left", "node-2", 110.0)
    roll.hear(0, "2", "node-0", 110.0)
    assert roll.news(111.0) == []


class Store:
    """What JAX's client offers of the key-value store; `fail()` ends it like the end of host 0."""

    def __init__(self):
        self.values, self.changed, self.failed = {}, threading.Condition(), ""

    def key_value_set(self, key, value, allow_overwrite=False):
        with self.changed:
            self._check()
            assert allow_overwrite or key not in self.values
            self.values[key] = value
            self.changed.notify_all()

    def key_value_try_get(self, key):
        with self.changed:
            self._check()
            return self.values[key]

    def key_value_dir_get(self, key):
        with self.changed:
            self._check()
            return [(name, value) for name, value in self.values.items() if name.startswith(f"{key}/")]

    def blocking_key_value_get(self, key, timeout_in_ms):
        with self.changed:
            self.changed.wait_for(lambda: self.failed or key in self.values, timeout_in_ms / 1000)
            self._check()
            return self.values[key]

    def fail(self, error="UNAVAILABLE: Socket closed"):
        with self.changed:
            self.failed = error
            self.changed.notify_all()

    def _check(self):
        if self.failed:
            raise RuntimeError(self.failed)


@pytest.fixture
def job(monkeypatch):
    """A function that starts the watches of some hosts, of a job of `hosts`."""
    monkeypatch.setattr(heartbeat.socket, "gethostname", lambda: "node")
    monkeypatch.setattr(heartbeat, "_FOREVER", 20_000)
    store, watches = Store(), []

    def start(*places, hosts):
        watches.extend(Watch(store, place, hosts, seconds=1) for place in places)
        for watch in watches:
            watch.start()
        return store, watches

    yield start
    store.fail()
    for watch in watches:
        watch._over.set()


def said(capsys, text, times=1):
    found, deadline = "", time.monotonic() + 10
    while found.count(text) < times:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
        found += capsys.readouterr().err
    return found


def test_every_host_names_the_one_that_is_silent(job, capsys):
    _, watches = job(0, 1, hosts=3)
    text = said(capsys, "gr2: host 2 has not been heard from for ", times=2)
    assert "host 0" not in text
    assert "host 1" not in text
    for watch in watches:
        watch.wait_for_name()


def test_a_host_that_leaves_as_it_should_is_not_named(job, capsys):
    _, (first, second) = job(0, 1, hosts=2)
    time.sleep(0.2)
    second.stop()
    assert not any(thread.is_alive() for thread in second._threads)
    time.sleep(0.8)
    first.stop()
    assert capsys.readouterr().err == ""


def test_the_end_of_host_0_is_said_by_the_others(job, capsys):
    store, _ = job(0, 1, hosts=2)
    time.sleep(0.3)
    store.fail()
    assert "gr2: host 0 (node) is gone\n" in said(capsys, "is gone")


def test_leaving_the_service_is_no_loss(job, capsys):
    store, watches = job(0, 1, hosts=2)
    time.sleep(0.3)
    store.fail("CANCELLED: CANCELLED")
    watches[1]._threads[-1].join(10)
    assert "is gone" not in capsys.readouterr().err


def test_a_silent_host_0_is_named_by_the_others(job, capsys):
    store, _ = job(1, hosts=2)
    with store.changed:  # it answers nobody
        said(capsys, "gr2: host 0 has not been heard from for ")
