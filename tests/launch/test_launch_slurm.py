"""A Slurm cluster, with a fake sbatch and a fake srun."""

import os
import re
import shutil
from pathlib import Path

import pytest

CLONE = Path(__file__).resolve().parents[2]

# srun starts the tasks and ends, as the real one does, with the highest of their codes.
SRUN = """
while [[ $1 == --* ]]; do shift; done
for task in 0 1; do SLURM_PROCID=$task "$@" & tasks+=($!); done
highest=0
for task in "${tasks[@]}"; do code=0; wait "$task" || code=$?; ((code <= highest)) || highest=$code; done
exit "$highest"
"""


def in_job(shell, body: str, *options: str, code: int = 0, restarted: str = "0"):
    shutil.copytree(CLONE / "launch", shell.folder / "launch")
    shell.pretend("srun", SRUN)
    shell.pretend("scontrol")
    shell.pretend("fake", body)
    variables = {"SLURM_JOB_ID": "17", "SLURM_SUBMIT_DIR": str(shell.folder), "SLURM_RESTART_COUNT": restarted}
    return shell("slurm.sbatch", "--python", "fake", *options, "--", "train", "c.py", code=code, **variables)


def called(shell, tool: str) -> list[str]:
    return [call for call in shell.calls() if call.startswith(tool + " ")]


def test_it_submits_itself(shell):
    shell.pretend("sbatch", "pwd")
    done = shell("slurm.sbatch", "--nodes", "2", "--gpus", "8", "--sbatch", "--partition=gpu", "--", "train", "c.py")
    assert os.path.samefile(done.stdout.strip(), CLONE)
    asked = "sbatch --nodes=2 --ntasks-per-node=8 --gpus-per-node=8 --partition=gpu launch/slurm.sbatch "
    assert shell.calls() == [asked + "--nodes 2 --gpus 8 --sbatch --partition=gpu -- train c.py"]


def test_on_cpu_nodes_it_asks_for_no_gpus(shell):
    text = shell("slurm.sbatch", "--gpus", "0", "--dry-run", "--", "train").stdout
    assert "sbatch --nodes=1 --ntasks-per-node=1 launch/slurm.sbatch --gpus 0 -- train\n" in text
    assert "scontrol requeue JOB\n" in text


def test_the_job_asks_for_a_signal_before_its_end_and_for_requeueing():
    asked = re.findall(r"^#SBATCH (.*)$", (CLONE / "launch" / "slurm.sbatch").read_text(), re.MULTILINE)
    assert {"--requeue", "--signal=TERM@120", "--open-mode=append"} <= set(asked)


def test_in_the_job_every_process_detects_the_cluster(shell):
    done = in_job(shell, 'echo "$GR2_CLUSTER $*"')
    assert done.stdout.splitlines() == ["auto -m gr2_jax train c.py"] * 2
    assert not called(shell, "scontrol")


def test_the_restart_code_sends_the_job_back_into_the_queue(shell):
    in_job(shell, "exit 75", code=75)
    assert called(shell, "scontrol") == ["scontrol requeue 17"]
    assert len(called(shell, "srun")) == 1


def test_returns_to_the_queue_are_limited(shell):
    done = in_job(shell, "exit 75", "--restarts", "3", code=75, restarted="3")
    assert not called(shell, "scontrol")
    assert "more than 3 times" in done.stderr


def test_a_crash_restarts_within_the_job(shell):
    in_job(shell, "((n > 2)) || { [[ $SLURM_PROCID == 1 ]] || sleep 0.3; kill -KILL $$; }")
    assert len(called(shell, "srun")) == 2
    assert not called(shell, "scontrol")


@pytest.mark.parametrize("code", [1, 2])
def test_a_fault_that_would_recur_ends_the_job_though_others_abort(shell, code):
    in_job(shell, f"[[ $SLURM_PROCID == 1 ]] && exit {code}; sleep 0.5; kill -ABRT $$", code=code)
    assert len(called(shell, "srun")) == 1
    assert not list(shell.folder.glob(".slurm-first*"))
