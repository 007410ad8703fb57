"""The process: clients that never finish a request's head, and which names it answers to."""

import http.client
import socket
import threading
import time

import pytest
import uvicorn
from served import served

from gr2_jax.serving import server as module
from gr2_jax.serving.app import make_app


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(module, "SENDING", 1.5)
    config = uvicorn.Config(make_app(served()), port=0, log_level="error", http=module._Hurried)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.05)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def closed_after(client):
    """Seconds until the server hangs up."""
    begin = time.monotonic()
    client.settimeout(20)
    while client.recv(1000):
        pass
    return time.monotonic() - begin


def test_a_head_that_never_ends_is_hung_up_on_and_others_are_answered(hurried):
    whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for sent in (b"", b"GET /health HTTP/1.1\r\n", whole + b"GET /health HTTP/1.1\r\n"):
        with socket.create_connection(("127.0.0.1", hurried)) as client:
            client.sendall(sent)
            assert closed_after(client) < 15
    kept = http.client.HTTPConnection("127.0.0.1", hurried, timeout=20)
    for _ in range(10):
        kept.request("GET", "/health")
        assert kept.getresponse().read().startswith(b'{"status": "ok"')
        time.sleep(0.2)
    kept.close()


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("127.0.0.1", {"localhost", "127.0.0.1"}),
        ("127.0.0.2", {"localhost", "127.0.0.2"}),
        ("localhost", {"localhost", "127.0.0.1"}),
        ("0.0.0.0", {"*"}),
    ],
)
def test_on_the_loopback_it_answers_to_names_of_this_computer_alone(monkeypatch, host, names):
    taken = {}
    monkeypatch.setattr(module, "make_app", lambda rows, hosts, seconds: taken.update(hosts=hosts))
    monkeypatch.setattr(module.asyncio, "run", lambda serving: serving.close())
    module.serve(None, host=host, port=0, seconds=1)
    assert names <= set(taken["hosts"])
    assert ("*" in taken["hosts"]) == (names == {"*"})
