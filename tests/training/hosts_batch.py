"""`python hosts_batch.py ADDRESS INDEX`: one of two processes puts its part of a batch on the mesh."""

import json
import sys

import jax
import numpy as np
from jax.experimental import multihost_utils

from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.batches import BatchConfig, GradedBatches
from gr2_jax.training.mesh import make_mesh, put_batch

SHAPE = BatchConfig(queries=4, docids=2, indexing_texts=6, pseudo_share=0.5, shortest_span=2, longest_span=4, length=5)
STEP = 7


def batches() -> GradedBatches:
    number = np.arange(20, dtype=np.int32)[:, None]
    examples = ExampleArrays(np.repeat(number + 3, 6, axis=1), number + np.arange(3), np.full((20, 3), 2))
    return GradedBatches(examples, examples, examples, SHAPE, seed=1)


def main(address: str, index: int) -> None:
    jax.distributed.initialize(address, num_processes=2, process_id=index, initialization_timeout=60)
    own = batches()(STEP, host=index, hosts=2)
    whole = put_batch(batches(), STEP, make_mesh())
    seen = {name: multihost_utils.process_allgather(array, tiled=True).tolist() for name, array in whole.items()}
    print(json.dumps({"own": {name: value.tolist() for name, value in own.items()}, "whole": seen}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
