"""A load test of `gr2 serve` on the loopback: `python tests/benchmarks/serving.py RUN [--row ROW] [--seconds 120]`.

Sixteen clients ask one query after another, each on a connection that it keeps. Beside them four others send malformed
requests, bodies of 2 MB, requests that never end, and connections that are dropped. Printed as JSON: requests a second,
latency, answers by status, the server's memory, and how many answers differ from those of `gr2 search --json`.
"""

import argparse
import collections
import http.client
import itertools
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

GR2 = [sys.executable, "-m", "gr2_jax"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--row")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()

    server = subprocess.Popen(
        [*GR2, "serve", options.run, "--port", "0", *(["--rows", options.row] if options.row else [])],
        stdout=subprocess.PIPE,
        text=True,
    )
    about, line = server.stdout.readline(), server.stdout.readline()
    port = int(re.search(r":(\d+) ", line)[1])
    row = about.split(": ")[1].split(",")[0].split(" over ")[0]
    queries = [query["query"] for query in get(port, "/api/judged")["queries"]]
    expected = offline(options.run, row, queries)

    stop, load = threading.Event(), Load()
    clients = [
        threading.Thread(target=client, args=(port, row, queries, i, load, stop)) for i in range(options.clients)
    ]
    vandals = [threading.Thread(target=vandal, args=(port, act, load, stop)) for act in (garbage, huge, slow, hang_up)]
    memory = [resident(server.pid)]
    begin = time.monotonic()
    for thread in (*clients, *vandals):
        thread.start()
    while time.monotonic() - begin < options.seconds:
        time.sleep(options.seconds / 12)
        memory.append(resident(server.pid))
    took, cpu = time.monotonic() - begin, processor_seconds(server.pid)
    stop.set()
    for thread in (*clients, *vandals):
        thread.join()
    server.send_signal(signal.SIGTERM)
    code = server.wait(60)

    times = sorted(load.milliseconds)
    print(
        json.dumps(
            {
                "row": row,
                "clients": options.clients,
                "requests": len(times),
                "requests_per_second": round(len(times) / took, 1),
                "processor_seconds_per_request": round(cpu / max(1, len(times)), 4),
                "ms_median": round(statistics.median(times), 1),
                "ms_95th": round(times[int(0.95 * len(times))], 1),
                "ms_most": round(times[-1], 1),
                "statuses": dict(load.statuses),
                "disturbances": dict(load.disturbances),
                "answers_that_differ": sum(hits != expected[query] for query, hits in load.answers),
                "answers_compared": len(load.answers),
                "resident_MiB": memory,
                "exit_code": code,
            },
            indent=1,
        )
    )


class Load:
    def __init__(self):
        self.milliseconds, self.answers = [], []
        self.statuses, self.disturbances = collections.Counter(), collections.Counter()


def client(port: int, row: str, queries: list[str], seed: int, load: Load, stop: threading.Event) -> None:
    rng, connection = random.Random(seed), http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while not stop.is_set():
        query = rng.choice(queries)
        body = json.dumps({"queries": [query], "k": 10, "row": row})
        begin = time.monotonic()
        connection.request("POST", "/api/search", body)
        answer = connection.getresponse()
        content = answer.read()
        load.milliseconds.append(1e3 * (time.monotonic() - begin))
        load.statuses[answer.status] += 1
        if answer.status == 200 and rng.random() < 0.05:
            load.answers.append((query, json.loads(content)["results"][0]["hits"]))
    connection.close()


def vandal(port: int, act, load: Load, stop: threading.Event) -> None:
    while not stop.is_set():
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            try:
                act(connection, stop)
                answer = connection.recv(100)
            except OSError:
                answer = b""
        status = re.match(rb"HTTP/1.1 (\d+)", answer)
        load.disturbances[f"{act.__name__}: {status[1].decode() if status else 'dropped'}"] += 1


def garbage(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(os.urandom(300) + b"\r\n\r\n")
    stop.wait(0.05)


def huge(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n")
    connection.sendall(b"[" * 2_000_000)
    stop.wait(0.05)


def slow(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
    for _ in itertools.takewhile(lambda _: not stop.wait(1), range(20)):
        connection.sendall(b" ")


def hang_up(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(b"GET /api/search?q=sort HTTP/1.1\r\nHost: localhost\r\n\r\n")
    connection.shutdown(socket.SHUT_RDWR)
    stop.wait(0.05)


def offline(run: str, row: str, queries: list[str]) -> dict[str, list]:
    command = [*GR2, "search", "--workdir", run, "--row", row, "-k", "10", "--json"]
    found = subprocess.run(command, input="\n".join(queries) + "\n", capture_output=True, text=True, check=True)
    return {record["query"]: record["hits"] for record in map(json.loads, found.stdout.splitlines())}


def get(port: int, path: str):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def processor_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
