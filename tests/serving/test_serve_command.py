"""`gr2 serve` as a process: what it answers, what it refuses, what disturbs it, and how it stops."""

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
from mcp import Client, StdioServerParameters

from gr2_jax.cli import main
from gr2_jax.corpus import Collection, Document, write_collection
from gr2_jax.experiment import CorpusConfig, DocidConfig, Experiment, VocabularyConfig
from gr2_jax.pipeline.rows import BASELINES
from gr2_jax.pipeline.schemes import Titles
from gr2_jax.pipeline.stages import run_experiment

WORDS = ["sort", "array", "matrix", "vector", "sparse", "dense", "solve", "root", "linear", "cubic"]
TEXTS = [f"{a} {b} {c}" for a in WORDS for b in WORDS[:3] for c in WORDS[5:7]]

HOSTILE = "<b>sort</b> \x1b[31m"
GR2 = (sys.executable, "-m", "gr2_jax")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the rows that need no training."""
    folder = tmp_path_factory.mktemp("corpus")
    documents = [Document(f"d{i}", text if i else HOSTILE, f"{text} again") for i, text in enumerate(TEXTS)]
    queries = {f"q{i}": f"how to {text}" for i, text in enumerate(TEXTS)}
    qrels = {f"q{i}": {f"d{i}": 2} for i in range(len(TEXTS))}
    write_collection(Collection("small", tuple(documents), queries, qrels, {}), folder)
    experiment = Experiment(
        name="small",
        corpus=CorpusConfig(source=str(folder), validation_queries=5, test_queries=5),
        vocabulary=VocabularyConfig(size=80, extra_ids=20),
        docids=DocidConfig(schemes=(Titles(),)),
        rows=BASELINES,
    )
    workdir = tmp_path_factory.mktemp("served") / "run"
    run_experiment(experiment, workdir)
    return workdir


@contextlib.contextmanager
def serving(run, *arguments):
    """The process and its port."""
    command = [*GR2, "serve", str(run), "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        first, second = process.stdout.readline(), process.stdout.readline()
        assert "BM25" in first, process.communicate()[1]
        yield process, int(re.search(r"http://127\.0\.0\.1:(\d+)", second)[1])
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def port(run):
    with serving(run) as (_, port):
        yield port


def asked(port, query, k=3):
    address = f"http://127.0.0.1:{port}/api/search"
    body = json.dumps({"queries": [query], "k": k}).encode()
    with urllib.request.urlopen(urllib.request.Request(address, body), timeout=20) as answer:
        return json.load(answer)["results"][0]


def command(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    return stop.value.code, *capsys.readouterr()


def test_answers_are_those_of_gr2_search(run, port, capsys):
    for query in ("sort array", "cubic", "how to solve"):
        code, out, _ = command(capsys, "search", query, "--workdir", run, "--row", "BM25", "-k", 3, "--json")
        assert code == 0
        assert asked(port, query)["hits"] == json.loads(out)["hits"]


def test_judged_queries_are_the_runs_and_those_that_were_not_trained_on_come_first(run, port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/judged") as answer:
        queries = json.load(answer)["queries"]
    split = json.loads((run / "corpus" / "split.json").read_text())
    assert [query["id"] for query in queries][:10] == split["test"] + split["validation"]
    assert 2 in asked(port, queries[0]["query"])["grades"].values()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET / HTTP/9.9\r\n\r\n",
        b"G\x00T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
        b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n{}",
        b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n{}",
        b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:24]),
)
def test_malformed_requests_are_refused_or_dropped_and_the_next_is_answered(port, sent):
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as client:
        answer = b""
        with contextlib.suppress(OSError):  # it may hang up before all is sent, or wait for the rest
            client.sendall(sent)
            answer = client.recv(1000)
    assert not answer.startswith(b"HTTP/1.1 5")
    assert not answer.startswith(b"HTTP/1.1 2")
    assert asked(port, "sort")["hits"]


def test_clients_that_send_nothing_more_keep_nobody_waiting(port):
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    for client in slow:
        client.sendall(b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    begin = time.monotonic()
    assert asked(port, "sort")["hits"]
    assert time.monotonic() - begin < 5
    for client in slow:
        client.close()


def test_sigterm_under_load_answers_what_was_accepted_and_ends_with_0(run):
    """A request counts as accepted once the first byte of its answer came: it must come whole. What was sent into a
    closed door has no byte."""
    whole, broken, stop = [], [], threading.Event()
    with serving(run) as (process, port):

        def client():
            while not stop.is_set():
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                try:
                    connection.request("GET", "/api/search?q=sort+array&k=20")
                    answer = connection.getresponse()
                except (OSError, http.client.RemoteDisconnected):
                    continue
                try:
                    assert answer.status == 200
                    whole.append(len(json.loads(answer.read())["hits"]))
                except Exception as error:
                    broken.append(error)
                finally:
                    connection.close()

        clients = [threading.Thread(target=client) for _ in range(8)]
        for thread in clients:
            thread.start()
        while len(whole) < 50:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        stop.set()
        for thread in clients:
            thread.join()
        assert not broken
        assert len(set(whole)) == 1
        assert "Traceback" not in process.stderr.read()


def test_ctrl_c_ends_with_0_and_without_a_word(run):
    with serving(run) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_what_cannot_be_served_is_refused_in_one_sentence(run, port, capsys, tmp_path):
    for arguments, told in (
        ((run, "--port", port), f"cannot listen on 127.0.0.1, port {port}"),
        ((run, "--port", 70000), "--port is 70000"),
        ((run, "--host", "no.such.host.invalid"), "no.such.host.invalid"),
        ((run, "--rows", "BM52"), "did you mean 'BM25'"),
        ((run, "--timeout", 0), "--timeout"),
        ((tmp_path / "nothing",), "holds no run"),
    ):
        code, _, err = command(capsys, "serve", *arguments)
        assert code == 2
        assert told in err
        assert "Traceback" not in err


def test_an_assistant_finds_two_tools_and_searches(run):
    """Against the protocol's own client, on stdin and stdout."""

    async def ask():
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        server = StdioServerParameters(command=GR2[0], args=[*GR2[1:], "serve", str(run), "--mcp"], env=environment)
        async with Client(server, read_timeout_seconds=60) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            found = await client.call_tool("search", {"query": "sort array", "k": 2})
            text = await client.call_tool("document", {"doc_id": "d0"})
            wrong = [
                await client.call_tool("search", {"query": "sort", "row": "BM52"}),
                await client.call_tool("search", {"query": " "}),
                await client.call_tool("search", {"query": "sort", "k": 0}),
                await client.call_tool("document", {"doc_id": "d999"}),
            ]
            return tools, found, text, wrong

    tools, found, text, wrong = asyncio.run(ask())
    assert set(tools) == {"search", "document"}
    assert "60 documents" in tools["search"].description
    hits = found.structured_content["result"]
    assert [hit["rank"] for hit in hits] == [1, 2]
    assert {"doc_id", "title", "text", "score", "proven"} <= set(hits[0])
    assert text.structured_content["title"] == HOSTILE
    assert all(answer.is_error for answer in wrong)
    assert "did you mean 'BM25'" in wrong[0].content[0].text
    assert "d999" in wrong[3].content[0].text
