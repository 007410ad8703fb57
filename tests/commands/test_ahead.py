"""Results in order, made by several threads while others are used."""

import threading
import time

import pytest

from gr2_jax.commands.ahead import ahead


def test_results_come_in_the_order_of_the_items():
    assert list(ahead(lambda n: n * n, range(100))) == [(n, n * n) for n in range(100)]
    assert list(ahead(str, [])) == []


def test_several_are_made_at_once():
    both = threading.Barrier(2, timeout=30)
    made = [made for _, made in ahead(lambda n: n == 0 or both.wait() >= 0, range(3))]
    assert made == [True, True, True]


def test_the_first_is_made_alone():
    """A search compiles its programs and puts its model on the device once."""
    at_work, most = [], []

    def make(n):
        at_work.append(n)
        most.append(len(at_work))
        time.sleep(0.05)
        at_work.remove(n)

    answers = ahead(make, range(4))
    next(answers)
    assert most == [1]
    list(answers)


def test_a_result_is_given_before_the_next_item_is_there():
    """A program that waits for its answer before it asks again gets one."""
    asked = threading.Event()

    def items():
        yield 1
        assert asked.wait(30)
        yield 2

    answers = ahead(lambda n: -n, items())
    assert next(answers) == (1, -1)
    asked.set()
    assert list(answers) == [(2, -2)]


def test_only_a_few_items_are_read_ahead():
    read = []
    answers = ahead(str, (read.append(n) or n for n in range(10_000)))
    next(answers)
    assert len(read) < 1000
    answers.close()


def test_faults_are_raised_in_their_turn():
    def items():
        yield 1
        raise KeyError("lost")

    answers = ahead(lambda n: 1 / n, items())
    assert next(answers) == (1, 1.0)
    with pytest.raises(KeyError, match="lost"):
        next(answers)
    answers = ahead(lambda n: 1 / n, [1, 0, 2])
    assert next(answers) == (1, 1.0)
    with pytest.raises(ZeroDivisionError):
        next(answers)
