"""How long until GR2S is better than BM25 and than a bi-encoder: seconds from the command, by the validation queries.

python tests/benchmarks/time_to_quality.py [--workdir runs/time-to-quality] [--every 50]

Runs the quickstart's row GR2S, which searches the validation queries every 50 steps, and then the rows Dense and BM25
of the same run. Prints, for each of the two, the first step after which GR2S's nDCG@20 on the validation queries (by
the joint score with w = 1, as training has not chosen w yet) is at least theirs, with the wall time and the process's
CPU time since the command began: imports, data, vocabulary, docids, and the searches themselves are in it.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from gr2_jax.pipeline.open_run import open_run
from gr2_jax.pipeline.validation import CURVE, validation_scores

MEASURE = "nDCG@20"
COMMAND = [sys.executable, "-m", "gr2_jax", "run", "configs/quickstart.py"]
DENSE = """from gr2_jax.recipes.studies import with_dense as overlay
"""


def cpu_seconds(process: int) -> float:
    """User and system time of a process and of its children that have ended."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def curve(workdir: Path, every: int) -> list[dict]:
    """Runs GR2S; step, score, seconds and CPU-seconds of each validation, as its line appears."""
    if workdir.exists():
        raise SystemExit(f"{workdir} is there already: its clocks would not begin at 0")
    started, found = time.monotonic(), []
    command = [*COMMAND, "--rows", "GR2S", "--workdir", str(workdir), "--retrieval.evaluate_every", str(every)]
    process = subprocess.Popen(command)
    while process.poll() is None:
        time.sleep(0.2)
        files = workdir.glob(f"checkpoints/GR2S-*/{CURVE}")  # written anew, and renamed
        lines = [line for file in files for line in file.read_text().splitlines()]
        for line in lines[len(found) :]:
            clocks = {"seconds": time.monotonic() - started, "cpu": cpu_seconds(process.pid)}
            found.append(json.loads(line) | clocks)
    if process.returncode:
        raise SystemExit(process.returncode)
    return found


def peers(workdir: Path) -> dict[str, float]:
    """The peers' nDCG@20 on the validation queries."""
    overlay = workdir / "with_dense.py"
    overlay.write_text(DENSE)
    subprocess.run([*COMMAND, str(overlay), "--rows", "Dense,BM25", "--workdir", str(workdir)], check=True)
    run = open_run(workdir)
    score, _ = validation_scores(run)
    return {name: score(run.row(name).open(run), 20)[MEASURE] for name in ("BM25", "Dense")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, default=Path("runs/time-to-quality"))
    parser.add_argument("--every", type=int, default=50)
    options = parser.parse_args()
    found = curve(options.workdir, options.every)
    print(f"{'better than':14}{MEASURE:>10}{'step':>8}{'seconds':>10}{'CPU s':>8}")
    for name, score in peers(options.workdir).items():
        first = next((one for one in found if one[MEASURE] >= score), None)
        reached = "never" if first is None else f"{first['step']:,}"
        clocks = ("", "") if first is None else (f"{first['seconds']:.0f}", f"{first['cpu']:.0f}")
        print(f"{name:14}{score:10.4f}{reached:>8}{clocks[0]:>10}{clocks[1]:>8}")
    print(f"GR2S at the end {found[-1][MEASURE]:.4f}, after {found[-1]['seconds']:.0f} s")


if __name__ == "__main__":
    main()
