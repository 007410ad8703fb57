"""Sharded search, with a retriever whose answers are known."""

import dataclasses
import json
import os
import signal
import threading

import pytest

from gr2_jax.errors import Preempted, UserError
from gr2_jax.hosts import Preemption
from gr2_jax.search import sharded
from gr2_jax.search.searcher import Hit, SearchOptions
from gr2_jax.search.sharded import search_sharded

QUERIES = {f"q{i}": f"text {i}" for i in range(20)}
OPTIONS = SearchOptions(batch=1)  # parts of 8 queries


@dataclasses.dataclass
class Answers:
    """Finds document `<text>-<rank>` at every rank; `during` is called within a search of more than one query."""

    during: object = None
    options: SearchOptions = OPTIONS
    searched: list = dataclasses.field(default_factory=list)

    def search(self, queries, k, whole_batches):
        assert whole_batches
        if len(queries) > 1:
            self.searched.append(queries)
            if self.during is not None:
                self.during()
        return [[Hit(f"{q[5:]}-{r}", "docid", -0.1 - r / 3, r < 2 or q == "text 3") for r in range(k)] for q in queries]


def expected(k):
    return {query: [(f"{i}-{r}", -0.1 - r / 3) for r in range(k)] for i, query in enumerate(QUERIES)}


def test_every_query_in_order_and_the_share_of_proven_lists(tmp_path):
    retriever = Answers()
    found = search_sharded(retriever, QUERIES, 3, tmp_path / "parts")
    assert found.run == expected(3)
    assert list(found.run) == list(QUERIES)
    assert found.proven_share == 1 / 20
    assert found.ms_per_query > 0
    assert [len(part) for part in retriever.searched] == [8, 8, 4]
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == [f"part-0000{i}.json" for i in range(3)]


def test_what_was_searched_is_not_searched_again(tmp_path):
    first = search_sharded(Answers(), QUERIES, 3, tmp_path)
    again = Answers()
    assert search_sharded(again, QUERIES, 3, tmp_path) == first
    assert again.searched == []
    (tmp_path / "part-00001.json").unlink()
    assert search_sharded(again, QUERIES, 3, tmp_path).run == expected(3)
    assert again.searched == [[f"text {i}" for i in range(8, 16)]]


def test_a_crash_loses_the_part_it_was_in(tmp_path):
    def crash():
        if len(crashing.searched) == 2:
            raise RuntimeError("the machine is gone")

    crashing = Answers(crash)
    with pytest.raises(RuntimeError):
        search_sharded(crashing, QUERIES, 3, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["part-00000.json"]
    assert search_sharded(Answers(), QUERIES, 3, tmp_path).run == expected(3)


def test_sigterm_stops_after_the_part_and_the_same_call_resumes(tmp_path):
    leaving = Answers(lambda: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Preempted, match="preempted with 1 of 3 parts searched"):
        search_sharded(leaving, QUERIES, 3, tmp_path)
    assert signal.getsignal(signal.SIGTERM) == before
    going_on = Answers()
    assert search_sharded(going_on, QUERIES, 3, tmp_path).run == expected(3)
    assert [len(part) for part in going_on.searched] == [8, 4]


def test_sigterm_in_the_last_part_is_not_forgotten(tmp_path):
    leaving = Answers(lambda: os.kill(os.getpid(), signal.SIGTERM))
    few = {query: QUERIES[query] for query in ("q0", "q1")}
    with pytest.raises(Preempted, match="preempted with 1 of 1 parts searched"):
        search_sharded(leaving, few, 3, tmp_path)
    assert list(search_sharded(Answers(), few, 3, tmp_path).run) == ["q0", "q1"]


def test_processes_share_the_parts(tmp_path, monkeypatch):
    """The work of two processes, one after the other; the second one finds all parts."""
    monkeypatch.setattr(sharded.jax, "process_count", lambda: 2)
    waits = []
    monkeypatch.setattr(sharded, "wait_for_all", waits.append)
    monkeypatch.setattr("gr2_jax.hosts._SEEN_WITHIN", 0.3)
    hosts = [Answers(), Answers()]
    monkeypatch.setattr(sharded.jax, "process_index", lambda: 1)
    with pytest.raises(UserError, match=r"part-00000\.json"):  # nobody waits for the other process's parts
        search_sharded(hosts[1], QUERIES, 3, tmp_path)
    monkeypatch.setattr(sharded.jax, "process_index", lambda: 0)
    assert search_sharded(hosts[0], QUERIES, 3, tmp_path).run == expected(3)
    assert [len(part) for part in hosts[0].searched] == [8, 4]
    assert [len(part) for part in hosts[1].searched] == [8]
    assert waits == [f"searched {tmp_path}", f"searched {tmp_path}", f"read {tmp_path}"]


def test_no_queries(tmp_path):
    assert search_sharded(Answers(), {}, 3, tmp_path).run == {}


def test_parts_are_exact_text(tmp_path):
    """A score is read back as the same number."""
    search_sharded(Answers(), QUERIES, 2, tmp_path)
    lists = json.loads((tmp_path / "part-00000.json").read_text())["lists"]
    assert lists["q1"] == [["1-0", -0.1, True], ["1-1", -0.1 - 1 / 3, True]]


def test_outside_the_main_thread_no_signal_is_caught():
    asked = []

    def work():
        with Preemption() as preemption:
            asked.append(preemption.requested())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert asked == [False]
