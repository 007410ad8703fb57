"""Several processes on one machine: starts and restarts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
TRAIN = ["--", "train", "c.py"]


def laptop(shell, *options, **more):
    return shell("laptop.sh", "--port", "4000", *options, *TRAIN, **more)


def test_each_process_gets_its_index(shell):
    shell.pretend("fake", 'echo "$JAX_COORDINATOR_ADDRESS $JAX_NUM_PROCESSES $JAX_PROCESS_ID ${CUDA_VISIBLE_DEVICES-}"')
    done = laptop(shell, "--python", "fake", "--processes", "3")
    assert sorted(done.stdout.split("\n")[:-1]) == [f"127.0.0.1:4000 3 {i} " for i in range(3)]
    assert shell.calls() == ["fake -m gr2_jax train c.py"] * 3
    done = laptop(shell, "--python", "fake", "--gpus")
    assert sorted(done.stdout.split("\n")[:-1]) == [f"127.0.0.1:4000 2 {i} {i}" for i in range(2)]


def test_a_preempted_job_restarts_until_it_is_done(shell):
    shell.pretend("fake", "((n > 2)) || exit 75")
    done = laptop(shell, "--python", "fake", "--processes", "1")
    assert len(shell.calls()) == 3
    assert done.stderr.count("everything is saved") == 2


@pytest.mark.parametrize(("body", "option"), [("exit 75", "--restarts"), ("kill -KILL $$", "--crashes")])
def test_restarts_are_limited(shell, body, option):
    shell.pretend("fake", body)
    laptop(shell, "--python", "fake", "--processes", "1", option, "2", code=75 if option == "--restarts" else 137)
    assert len(shell.calls()) == 3


@pytest.mark.parametrize("code", [1, 2, 3])
def test_other_codes_end_the_job(shell, code):
    shell.pretend("fake", f"exit {code}")
    done = laptop(shell, "--python", "fake", "--processes", "1", code=code)
    assert len(shell.calls()) == 1
    assert "would not help" in done.stderr


@pytest.mark.parametrize(
    ("first", "then", "starts"), [("exit 2", "sleep 0.5; kill -ABRT $$", 1), ("kill -KILL $$", "sleep 0.5; exit 2", 2)]
)
def test_the_first_to_fail_decides_not_those_that_follow(shell, first, then, starts):
    """A lost host aborts the others, and for the last process bad input looks like an abort too."""
    shell.pretend(
        "fake",
        f"((n <= 2)) || exit 0\nif [[ $JAX_PROCESS_ID == 1 ]]; then {first}; else {then}; fi",
    )
    code = 2 if starts == 1 else 0
    laptop(shell, "--python", "fake", code=code)
    assert len(shell.calls()) == 2 * starts


def test_processes_that_stay_behind_are_killed(shell):
    shell.pretend("fake", "[[ $JAX_PROCESS_ID == 1 ]] && exit 1; exec sleep 60")
    begun = time.monotonic()
    laptop(shell, "--python", "fake", "--patience", "1", code=1)
    assert time.monotonic() - begun < 20


def test_sigterm_is_passed_on_and_nothing_restarts(shell):
    shell.pretend("fake", "trap 'exit 75' TERM; echo up; for i in {1..200}; do sleep 0.1; done")
    command = [LAUNCH / "laptop.sh", "--port", "4000", "--python", "fake", *TRAIN]
    job = subprocess.Popen(command, env=shell.environment, stdout=subprocess.PIPE, text=True)
    assert [job.stdout.readline() for _ in range(2)] == ["up\n"] * 2
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=20) == 75
    assert len(shell.calls()) == 2


_PROGRAM = """
import json, os, pathlib, sys
if sys.argv[1:4] != ["-m", "gr2_jax", "train"]:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
from gr2_jax.hosts import join_processes
first = join_processes()
import jax
from jax.experimental import multihost_utils
total = int(multihost_utils.process_allgather(jax.numpy.array(jax.process_index() + 1)).sum())
jax.distributed.shutdown()
once = pathlib.Path(f"left.{os.environ['JAX_PROCESS_ID']}")
print(json.dumps({"first": first, "processes": jax.process_count(), "total": total}), flush=True)
if not once.exists():
    once.touch()
    sys.exit(75)
"""


def _python(shell, body: str) -> str:
    """The interpreter of this test, which runs `body` instead of gr2_jax."""
    (shell.folder / "program.py").write_text(body)
    tool = shell.tools / "interpreter"
    tool.write_text(f'#!/usr/bin/env bash\nexec {sys.executable} {shell.folder}/program.py "$@"\n')
    tool.chmod(0o755)
    return str(tool)


def _jax_variables() -> dict[str, str]:
    path = os.pathsep.join([str(LAUNCH.parent), os.environ.get("PYTHONPATH", "")])
    compiled_alike = ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS")  # for the same bytes
    same = {name: os.environ[name] for name in compiled_alike if name in os.environ}
    return {"JAX_PLATFORMS": "cpu", "PYTHONPATH": path, **same}


@pytest.mark.multiprocess
def test_two_real_processes_join_leave_with_the_restart_code_and_join_again(shell):
    done = shell("laptop.sh", "--python", _python(shell, _PROGRAM), *TRAIN, **_jax_variables())
    seen = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(seen) == 4  # two processes, twice
    assert all(line["processes"] == 2 and line["total"] == 3 for line in seen)
    assert sum(line["first"] for line in seen) == 2
    assert done.stderr.count("everything is saved") == 1


@pytest.mark.multiprocess
def test_two_real_processes_evaluate_a_run_as_one_does(shell, tmp_path_factory, monkeypatch):
    monkeypatch.syspath_prepend(LAUNCH.parent / "tests" / "pipeline")
    from searched_run import searched_experiment

    from gr2_jax.pipeline.stages import run_experiment
    from gr2_jax.pipeline.workdir import Workdir

    workdir = Workdir(shell.folder / "run")
    run_experiment(searched_experiment(tmp_path_factory.mktemp("corpus")), workdir.root)
    words = ["--python", sys.executable, "--", "evaluate", str(workdir.root), "-k", "6", "--json", "--output", "two"]
    done = shell("laptop.sh", *words, **_jax_variables())
    (printed,) = [line for line in done.stdout.splitlines() if line.startswith("{")]  # by the first process alone
    assert json.loads(printed)["provenance"]["devices"] == 2
    assert (shell.folder / "two/run.trec").read_bytes() == (workdir.runs / "GR2S/test.trec").read_bytes()


@pytest.mark.multiprocess
def test_two_real_processes_run_what_one_does(shell, tmp_path_factory, monkeypatch):
    """Sums over two devices are taken in another order. 20 steps of Adam, which divides by the gradients' size, amplify
    this: the losses agree to 1e-3, and 99% of the parameters to a tenth of one step's update."""
    monkeypatch.syspath_prepend(LAUNCH.parent / "tests" / "pipeline")
    import jax
    import numpy as np
    import searched_run

    from gr2_jax import open_retriever

    corpus = tmp_path_factory.mktemp("corpus")
    searched_run.searched_experiment(corpus)
    config = shell.folder / "small.py"
    config.write_text(
        f"import dataclasses, sys, pathlib\nsys.path.append({str(LAUNCH.parent / 'tests' / 'pipeline')!r})\n"
        "from searched_run import searched_experiment\n"
        f"found = searched_experiment(pathlib.Path({str(corpus)!r}))\n"
        "by_weight = dataclasses.replace(found.evaluation, weights=(0.5, 2.0))  # the first process chooses\n"
        "experiment = dataclasses.replace(found, evaluation=by_weight)\n"
    )
    found = {}
    for processes in (1, 2):
        words = ["--processes", str(processes), "--python", sys.executable, "--", "run", str(config)]
        done = shell("laptop.sh", *words, "--workdir", f"run{processes}", **_jax_variables())
        assert done.stdout.count("| GR2S ") == done.stdout.count("| BM25 ") == 1  # the first process prints the table
        retriever = open_retriever(shell.folder / f"run{processes}")
        found[processes] = jax.tree.map(np.asarray, retriever.searcher.params)
    one, two = (np.concatenate([x.ravel() for x in jax.tree.leaves(params)]) for params in found.values())
    assert np.mean(np.abs(one - two) > 1e-3) < 0.01
    losses = [
        json.loads(path.read_text())["loss"] for path in sorted(shell.folder.glob("run*/checkpoints/*/stage.json"))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert len(losses) == 2
