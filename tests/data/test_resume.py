"""The training data of a killed run resume as if nothing had happened."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from resumed_batches import digest, open_batches

from gr2_jax.data.example_files import TokenisedExample, write_example_files


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """150 and 40 examples in files of 3 and 2 shards; the first token names the example."""
    folder, rng = tmp_path_factory.mktemp("resume"), np.random.default_rng(0)
    for name, count, first, shards in (("one", 150, 1000, 3), ("two", 40, 5000, 2)):
        examples = []
        for i in range(count):
            judged = rng.integers(1, 5)
            tokens = [first + i, *rng.integers(3, 99, rng.integers(0, 14))]
            examples.append(TokenisedExample(tokens, rng.permutation(60)[:judged], rng.integers(1, 5, judged)))
        write_example_files(folder / name, examples, shards=shards)
    return folder


def lines_until_killed(directory, first, host, hosts, count):
    """What a process prints for `count` steps from `first`, before it is killed during a later one."""
    command = [sys.executable, str(Path(__file__).with_name("resumed_batches.py")), str(directory)]
    process = subprocess.Popen([*command, str(first), str(host), str(hosts)], stdout=subprocess.PIPE, text=True)
    try:
        return [process.stdout.readline().split() for _ in range(count)]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_killed_at_a_random_step_the_next_hundred_batches_are_the_same(directory):
    batches, step = open_batches(directory), random.Random(3).randrange(20, 400)
    before = lines_until_killed(directory, step - 20, 0, 1, 20)
    after = lines_until_killed(directory, step, 0, 1, 100)
    found = {int(number): value for number, value in before + after}
    assert found == {number: digest(batches(number)) for number in range(step - 20, step + 100)}


def test_it_resumes_on_other_hosts_each_a_process_with_its_own_data(directory):
    batches = open_batches(directory)
    for host in range(2):
        lines = lines_until_killed(directory, 57, host, 2, 10)
        assert [value for _, value in lines] == [digest(batches(step, host=host, hosts=2)) for step in range(57, 67)]
    for step in range(57, 67):
        whole, halves = batches(step), [batches(step, host=host, hosts=2) for host in range(2)]
        for name, value in whole.items():
            np.testing.assert_array_equal(np.concatenate([half[name] for half in halves]), value)


@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_the_union_over_hosts_is_the_epoch_of_each_source(directory, hosts):
    """Of 1,000 places the first source has 750, or 5 epochs, and the other one 250, or 6 epochs and 10 examples."""
    batches = open_batches(directory)
    seen = [[] for _ in range(hosts)]
    for step in range(125):
        for host in range(hosts):
            seen[host] += batches(step, host=host, hosts=hosts)["query_tokens"][:, 0].tolist()
    assert {len(part) for part in seen} == {1000 // hosts}
    times = np.bincount(np.concatenate(seen))
    assert (times[1000:1150] == 5).all()
    assert set(times[5000:5040].tolist()) == {6, 7}
    assert times[5000:5040].sum() == 250
