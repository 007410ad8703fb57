"""Around the steps: prefetching, goodput, metrics, the watchdog, preemption and non-finite losses."""

import dataclasses
import functools
import json
import signal
import threading
import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sharded_cases
import toy_plan

from gr2_jax.errors import Preempted, UserError
from gr2_jax.training import goodput
from gr2_jax.training.feed import Feed
from gr2_jax.training.goodput import Goodput
from gr2_jax.training.job import TrainingJob
from gr2_jax.training.loop import train
from gr2_jax.training.loop_config import LoopConfig
from gr2_jax.training.metrics_log import FILE, MetricsLog
from gr2_jax.training.optimiser import OptimiserConfig, make_optimiser
from gr2_jax.training.watchdog import Watchdog, late_hosts


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_a_feed_gives_every_batch_in_order(ahead):
    read = []
    with Feed(lambda step: read.append(step) or step * 10, 3, 8, ahead) as feed:
        assert [feed.next() for _ in range(5)] == [30, 40, 50, 60, 70]
    assert read == [3, 4, 5, 6, 7]


def test_a_feed_reads_ahead():
    started = threading.Event()
    with Feed(lambda step: started.set() if step == 1 else step, 0, 5, 2) as feed:
        assert feed.next() == 0
        assert started.wait(10)


def test_a_reading_error_is_raised_by_next():
    def read(step):
        if step == 1:
            raise InterruptedError
        return step

    with Feed(read, 0, 3) as feed:
        assert feed.next() == 0
        with pytest.raises(InterruptedError):
            feed.next()


@pytest.mark.parametrize("peak", [None, 1e12])
def test_teraflops_and_mfu_follow_from_the_rate(peak, tmp_path, monkeypatch):
    monkeypatch.setattr("gr2_jax.training.loop.peak_flops", lambda kind: peak)
    train(dataclasses.replace(toy_plan.PLAN, flops=3e9), toy_plan.start(), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()][1:]
    for line in lines:
        assert line["teraflops_per_device"] == pytest.approx(line["steps_per_second"] * 3e-3)
        assert ("mfu" in line) == (peak is not None)
        if peak is not None:
            assert line["mfu"] == pytest.approx(line["teraflops_per_device"])
    assert lines[-1]["teraflops_per_device"] > 0


def test_goodput_adds_up(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(goodput, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def passes(seconds):
        clock[0] += seconds

    times = Goodput()
    times.add({"step": 100.0, "evaluation": 7.0})
    with times("data"):
        passes(2)
    passes(3)  # outside any kind: counts as step
    with times("evaluation"):
        passes(5)
    assert times.steps_per_second(10) == 0.0
    with times("step"):
        passes(4)
    assert times.steps_per_second(12) == 0.5
    expected = {"start": 0, "data": 2, "step": 107, "checkpoint": 0, "evaluation": 12}
    assert times.seconds() == expected
    assert times.training == 109
    assert times.shares() == {kind: seconds / 121 for kind, seconds in expected.items()}


def test_the_summary_is_of_the_wall_time():
    """Of 200 s, 10 were lost with a killed start or lay before the next, and the clock counted 190."""
    shares = {"start": 0.1, "data": 0.05, "step": 0.8, "checkpoint": 0.05, "evaluation": 0.0}
    line = {"wall": 200.0, "seconds": 190.0, "starts": 2} | {f"goodput/{kind}": s for kind, s in shares.items()}
    said = goodput.summary([{"mfu": 0.0}, {"mfu": 0.25}, {"mfu": 0.35}, line])
    assert said == (
        "goodput 76%: 152 s in steps of 200 s in 2 starts (start 10%, data 5%, checkpoint 5%, evaluation 0%, "
        "lost or between starts 5%); MFU in steps 30.0%"
    )
    assert goodput.summary([line | {"starts": 1}]).endswith(
        "in 1 start (start 10%, data 5%, checkpoint 5%, evaluation 0%, lost or between starts 5%)"
    )


def test_the_goodput_counts_every_start(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("gr2_jax.training.loop._SUMMARISED_AFTER", 1e9)
    train(dataclasses.replace(toy_plan.PLAN, steps=40), toy_plan.start(), tmp_path)
    assert "goodput" not in capsys.readouterr().err  # a short training
    first = lines(tmp_path)
    assert {line["starts"] for line in first} == {1}
    assert first[-1]["wall"] >= first[-1]["seconds"] > 0
    with (tmp_path / FILE).open("a") as file:  # of a start that was killed, and an hour passed
        began = first[-1]["time"] - first[-1]["wall"] - 3600
        file.write(json.dumps({"step": 60, "time": began + 10, "wall": 10.0, "starts": 2}) + "\n")
    train(toy_plan.PLAN, toy_plan.start(), tmp_path)
    last = lines(tmp_path)[-1]
    assert last["starts"] == 3
    assert last["wall"] == pytest.approx(last["time"] - began)
    said = capsys.readouterr().err
    assert "goodput 0%" in said
    assert "s in 3 starts (" in said


def lines(directory):
    return [json.loads(line) for line in (directory / FILE).read_text().splitlines()]


def test_metrics_are_logged_and_a_restart_removes_those_of_lost_steps(tmp_path):
    train(dataclasses.replace(toy_plan.PLAN, steps=40), toy_plan.start(), tmp_path)
    first = lines(tmp_path)
    assert [line["step"] for line in first] == [20, 40]
    assert first[0]["loss"] == pytest.approx(first[0]["loss/fit"] + first[0]["loss/size"])
    assert sum(value for name, value in first[0].items() if name.startswith("goodput/")) == pytest.approx(1)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"step": 60, "loss": 0.1}\n{"step": 6')
    train(toy_plan.PLAN, toy_plan.start(), tmp_path)
    assert lines(tmp_path)[:2] == first
    assert [line["step"] for line in lines(tmp_path)] == [20, 40, 60, 70]
    assert lines(tmp_path)[3]["steps_per_second"] > 0


def test_only_the_first_host_writes(tmp_path):
    with MetricsLog(tmp_path / "none", 0, first=False) as log:
        log.write(1, {"loss": 1.0})
    assert not (tmp_path / "none").exists()


def test_scores_of_the_hook_are_logged_and_the_best_is_kept(tmp_path):
    scores = {10: 0.5, 20: 0.9, 30: 0.2, 40: 0.4}
    plan = dataclasses.replace(
        toy_plan.PLAN,
        steps=40,
        hook=lambda step, params: {"nDCG@20": scores[step]},
        hook_every=10,
        best="nDCG@20",
        loop=LoopConfig(checkpoint_seconds=1e9),
    )
    train(plan, toy_plan.start(), tmp_path)
    assert {line["step"]: line["nDCG@20"] for line in lines(tmp_path)} == scores
    assert {path.name for path in tmp_path.iterdir() if path.name.isdigit()} == {"20", "30", "40"}


def test_the_watchdog_names_who_is_behind(tmp_path):
    def note(host, step, doing):
        (tmp_path / f"{host}.json").write_text(json.dumps({"step": step, "doing": doing, "name": f"node{host}"}))

    note(0, 7, "step")
    assert late_hosts(tmp_path, 2) == "host 1 of 2 has written no note yet"
    note(1, 6, "data")
    assert late_hosts(tmp_path, 2) == "host 1 (node1) is at step 6, data; the others are at step 7"
    note(1, 7, "data")
    assert late_hosts(tmp_path, 2) == "host 1 (node1) is at step 7, data; the others are at step 7"
    note(1, 7, "step")
    assert late_hosts(tmp_path, 2) == "all 2 hosts are at step 7, step"


def test_the_watchdog_reports_after_its_patience(tmp_path, capsys):
    with Watchdog(tmp_path, 1, 2, 0.2) as other, Watchdog(tmp_path, 0, 2, 0.2) as dog:
        other.note(3, "data")
        dog.note(4, "step")
        deadline = time.monotonic() + 10
        while "the others are at step 4" not in (said := capsys.readouterr().err):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert "no step for" in said


def test_sigterm_saves_and_the_same_call_resumes(tmp_path):
    whole = tmp_path / "whole"
    meta = train(toy_plan.PLAN, toy_plan.start(), whole)

    def batches(step, host=0, hosts=1):
        if step == 33:
            signal.raise_signal(signal.SIGTERM)
        return toy_plan.batches(step)

    rare = LoopConfig(checkpoint_seconds=1e9, ahead=0)
    struck = dataclasses.replace(toy_plan.PLAN, batches=batches, loop=rare)
    with pytest.raises(Preempted, match="toy: preempted, and saved at step 34"):
        train(struck, toy_plan.start(), tmp_path / "struck")
    after = train(dataclasses.replace(toy_plan.PLAN, loop=rare), toy_plan.start(), tmp_path / "struck")
    assert (after["loss"], after["parts"]) == (meta["loss"], meta["parts"])


def test_a_non_finite_loss_names_its_queries(tmp_path):
    """Queries 2 and 5 of step 3 hold a token whose embedding is NaN; no other text has it."""
    start = sharded_cases.start("retrieval")
    start["t5"]["embedding"]["embedding"][300] = np.nan

    def batches(step, host=0, hosts=1):
        batch = sharded_cases.retrieval_batch(step)
        if step == 3:
            batch["query_tokens"][[2, 5], 1] = 300
        return batch

    # the logits cover a vocabulary without this token
    columns = np.arange(512).clip(max=299)
    loss = functools.partial(
        sharded_cases.LOSSES["retrieval"],
        model=sharded_cases.GR2(sharded_cases.CONFIG, tuple(range(300))),
        target_columns=jnp.asarray(columns),
    )
    plan = TrainingJob("job", loss, batches, optax.sgd(0.01), 20, 0, query=lambda row: " ".join(map(str, row)))
    with pytest.raises(UserError) as refused:
        train(plan, start, tmp_path)
    text = str(refused.value)
    assert "job: the loss is nan at step 4 (" in text
    assert "likelihood_q nan" in text
    assert "from 2 of the 8 queries of the batch, 2 '" in text
    assert ", 5 '" in text
    assert "lower the learning rate" in text


@pytest.mark.parametrize("kind", ["adam", "adafactor"])
def test_optimisers_learn(kind, tmp_path):
    optimiser = make_optimiser(
        OptimiserConfig(kind=kind, steps=70, learning_rate=0.1, warmup_steps=5, b2=0.99, weight_decay=0.001)
    )
    before = train(dataclasses.replace(toy_plan.PLAN, optimiser=optimiser, steps=1), toy_plan.start(), tmp_path / "a")
    after = train(dataclasses.replace(toy_plan.PLAN, optimiser=optimiser), toy_plan.start(), tmp_path / "b")
    assert after["loss"] < 0.7 * before["loss"]


def test_an_unknown_optimiser_is_refused():
    with pytest.raises(UserError, match="kind is 'adamw': did you mean 'adam'"):
        OptimiserConfig(kind="adamw")


def test_adafactor_keeps_rows_and_columns_only():
    optimiser = make_optimiser(OptimiserConfig(kind="adafactor", steps=9, warmup_steps=0))
    state = jax.eval_shape(optimiser.init, {"kernel": jnp.zeros((256, 512))})
    assert sum(x.size for x in jax.tree.leaves(state)) < 1000
