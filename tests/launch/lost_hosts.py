"""Strikes the processes of a job that launch/laptop.sh runs, and times how long the others take to end.

`python lost_hosts.py FOLDER PROCESSES KILLS STOPS [LONGEST]` makes the small run of tests/pipeline in FOLDER/struck and
in FOLDER/calm, strikes the first at random times (LONGEST seconds after a start at most, 30 by default), compares the
two, and prints the times as JSON.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
WITHIN = 15.0  # seconds
_CONFIG = """
import dataclasses, pathlib, sys
sys.path.append({pipeline!r})
from searched_run import EXPERIMENT, over
found = over(EXPERIMENT, pathlib.Path({corpus!r}))
optimiser = dataclasses.replace(found.retrieval.optimiser, steps={steps})
experiment = dataclasses.replace(
    found,
    retrieval=dataclasses.replace(found.retrieval, optimiser=optimiser),
    loop=dataclasses.replace(found.loop, checkpoint_steps=5),
)
"""


class Blow(NamedTuple):
    """signal: its name; host: which was struck; at: seconds after the start; joined: whether all processes had joined;
    seconds: until all others had ended."""

    signal: str
    host: int
    at: float
    joined: bool
    seconds: float


def write_config(folder: Path, steps: int) -> Path:
    """A config of the small run, with a checkpoint at every fifth step, and its collection."""
    path = folder / "small.py"
    (folder / "corpus").mkdir(exist_ok=True)
    pipeline, corpus = str(ROOT / "tests" / "pipeline"), str(folder / "corpus")
    sys.path.append(pipeline)
    from searched_run import searched_experiment

    searched_experiment(folder / "corpus")  # once: processes that load the config must not all write it
    path.write_text(_CONFIG.format(pipeline=pipeline, corpus=corpus, steps=steps))
    return path


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": path, "GR2_RESTART_DELAY": "0"}


def run(folder: Path, workdir: str, processes: int, config: Path, crashes: int = 0) -> subprocess.Popen:
    """Starts a job that runs every stage of the config."""
    options = ["--processes", str(processes), "--python", sys.executable, "--crashes", str(crashes)]
    command = [ROOT / "launch" / "laptop.sh", *options, "--", "run", str(config), "--workdir", str(folder / workdir)]
    with (folder / f"{workdir}.log").open("w") as log:
        return subprocess.Popen(command, env=environment(), cwd=ROOT, stdout=log, stderr=log)


def strike(
    job: subprocess.Popen,
    log: Path,
    kind: signal.Signals,
    host: int,
    after: float,
    ready: Callable[[], bool] = lambda: True,
) -> Blow | None:
    """Sends the signal to one process, `after` seconds from now and once it is `ready`, and waits for the end of the
    others; None if the job was done by then. A process is stopped only when all have joined: before, nothing tells it
    from one that is slow. Raises `TimeoutError` if one of the others is still there after 40 seconds."""
    begun = time.monotonic()
    while (
        time.monotonic() - begun < after
        or host not in (alive := _processes(job))
        or (kind == signal.SIGSTOP and not joined(log))
        or not ready()
    ):
        if job.poll() is not None:
            return None
        time.sleep(0.05)
    had_joined = joined(log)
    os.kill(alive[host], kind)
    struck = time.monotonic()
    others = [pid for place, pid in alive.items() if place != host]
    while any(map(_runs, others)):
        if time.monotonic() - struck > 40:
            raise TimeoutError(f"{kind.name} of host {host} was not noticed")
        time.sleep(0.02)
    return Blow(kind.name, host, round(struck - begun, 1), had_joined, round(time.monotonic() - struck, 2))


def joined(log: Path) -> bool:
    """Whether the processes of the newest start have joined."""
    text = log.read_text("utf-8", "replace")
    return text.rfind("processes have joined") > max(map(text.rfind, ("joins the others at", "restarting")))


def drill(
    job: subprocess.Popen, log: Path, processes: int, blows: Sequence[signal.Signals], longest: float, seed: int = 0
) -> list[Blow]:
    """Strikes random processes at random times, and waits for the end of the job; it must succeed."""
    luck, dealt = random.Random(seed), []
    for kind in blows:
        blow = strike(job, log, kind, luck.randrange(processes), luck.uniform(0.5, longest))
        if blow is None:
            break
        dealt.append(blow)
        print(blow, file=sys.stderr, flush=True)
    assert job.wait(timeout=1200) == 0
    return dealt


def _processes(job: subprocess.Popen) -> dict[int, int]:
    """Host -> process id of the Python processes under the job's first.sh."""
    found = {}
    for wrapper in _children(job.pid):
        for child in _children(wrapper):
            try:
                variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            places = [text.partition(b"=")[2] for text in variables if text.startswith(b"JAX_PROCESS_ID=")]
            if places:
                found[int(places[0])] = child
    return found


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def results(workdir: Path) -> dict[str, bytes]:
    """The run files, and the last parameters of every training."""
    sys.path.append(str(ROOT))
    from gr2_jax import open_retriever

    files = {str(path.relative_to(workdir)): path.read_bytes() for path in sorted(workdir.glob("runs/*/*.trec"))}
    import jax

    leaves = jax.tree_util.tree_leaves_with_path(open_retriever(workdir).searcher.params)
    return files | {jax.tree_util.keystr(path): np.asarray(leaf).tobytes() for path, leaf in leaves}


def main(folder: Path, processes: int, kills: int, stops: int, longest: float = 30.0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = write_config(folder, steps=100)
    blows = [signal.SIGKILL] * kills + [signal.SIGSTOP] * stops
    random.Random(1).shuffle(blows)
    job = run(folder, "struck", processes, config, len(blows))
    dealt = drill(job, folder / "struck.log", processes, blows, longest)
    calm = run(folder, "calm", processes, config)
    assert calm.wait(timeout=1200) == 0
    assert results(folder / "struck") == results(folder / "calm")
    seconds = sorted(blow.seconds for blow in dealt)
    figures = {"blows": len(dealt), "median": seconds[len(seconds) // 2], "worst": seconds[-1]}
    print(json.dumps(figures | {"each": [blow._asdict() for blow in dealt]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]), *map(float, sys.argv[5:]))
