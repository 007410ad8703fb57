"""`python job_process.py DIRECTORY STEPS MESH [SECONDS]`: one process of a job that trains the retrieval model of
`sharded_cases` with a checkpoint every second step, each batch taking SECONDS; exits with the CLI's codes."""

import sys
import time
from pathlib import Path

import optax

from gr2_jax.errors import RESTART, Preempted
from gr2_jax.hosts import join_processes
from gr2_jax.training.job import TrainingJob
from gr2_jax.training.loop import train
from gr2_jax.training.loop_config import LoopConfig
from gr2_jax.training.mesh import MeshConfig

MESHES = {"data": MeshConfig(), "fsdp": MeshConfig(data=1, fsdp=-1)}


def main(directory: Path, steps: int, mesh: str, seconds: float = 0.0) -> None:
    join_processes()
    import sharded_cases  # imports JAX arrays, so it must come after joining

    def batches(step, host=0, hosts=1):
        time.sleep(seconds)
        return sharded_cases.retrieval_batch(step, host, hosts)

    plan = TrainingJob(
        "job",
        sharded_cases.LOSSES["retrieval"],
        batches,
        optax.sgd(0.1, momentum=0.9),
        steps,
        seed=0,
        mesh=MESHES[mesh],
        loop=LoopConfig(checkpoint_steps=2),
    )
    try:
        train(plan, sharded_cases.start("retrieval"), directory)
    except Preempted as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(RESTART)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], *map(float, sys.argv[4:]))
