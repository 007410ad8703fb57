"""The processes of a job call host 0, and those that do not are named to all."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gr2_jax import roll_call
from gr2_jax.cli import main
from gr2_jax.errors import LOST, Lost, UserError
from gr2_jax.roll_call import call_roll, wait_for_answer


@pytest.fixture
def address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def pool():
    with ThreadPoolExecutor() as pool:
        yield pool


def connected(address):
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection((host, int(port)))
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_all_return_when_all_have_called(address, pool):
    others = [pool.submit(call_roll, address, 3, place, 20) for place in (1, 2)]
    time.sleep(0.2)
    assert not any(other.done() for other in others)
    call_roll(address, 3, 0, 20)
    assert [other.result(10) for other in others] == [None, None]
    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):  # where JAX listens next
        wait_for_answer(address, 5)


def test_late_hosts_are_named_to_all(address, pool):
    other = pool.submit(call_roll, address, 4, 2, 20)
    sentence = f"hosts 1, 3 of 4 have not joined at {address} within 1 s"
    with pytest.raises(Lost) as late:
        call_roll(address, 4, 0, 1)
    assert str(late.value) == sentence
    with pytest.raises(Lost) as late:
        other.result(10)
    assert str(late.value) == sentence


def test_who_is_awaited_is_said_meanwhile(address, capsys, monkeypatch):
    monkeypatch.setattr(roll_call, "_SAID_EVERY", 0.3)
    with pytest.raises(Lost, match="host 1 of 2 has not joined at"):
        call_roll(address, 2, 0, 1.2)
    assert "host 1 of 2 has not joined yet" in capsys.readouterr().err


def test_strangers_do_not_count_and_one_that_hangs_up_is_expected_again(address, pool):
    first = pool.submit(call_roll, address, 3, 0, 20)
    with connected(address) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert stranger.recv(100) == b""
    with connected(address) as caller:
        caller.sendall(b"gr2_jax 1 node\n")
    call = pool.submit(call_roll, address, 3, 2, 20)
    time.sleep(0.7)
    assert not first.done()
    assert not call.done()
    call_roll(address, 3, 1, 20)
    assert first.result(10) is call.result(10) is None


def test_an_address_that_is_taken_is_said(address):
    with (
        socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))),
        pytest.raises(UserError, match=f"host 0 cannot listen at {address}: Address already in use"),
    ):
        call_roll(address, 2, 0, 1)


def test_late_hosts_end_the_program_with_the_code_that_starts_it_again(monkeypatch, capsys):
    def late(*_):
        raise Lost("host 1 of 2 has not joined")

    monkeypatch.setattr("gr2_jax.commands.train.run", late)
    with pytest.raises(SystemExit) as stop:
        main(["train", "configs/quickstart.py"])
    assert stop.value.code == LOST
    assert capsys.readouterr().err == "gr2: host 1 of 2 has not joined\n"
