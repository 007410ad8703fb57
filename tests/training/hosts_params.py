"""`python hosts_params.py ADDRESS INDEX`: one of two processes gets all parameters of a mesh over both."""

import json
import sys

import jax
import numpy as np

from gr2_jax.training.mesh import MeshConfig, divided_in_each_process, make_mesh
from gr2_jax.training.partition import place_params


def params() -> dict:
    rng = np.random.default_rng(0)
    shapes = {"wi": (8, 12), "wo": (12, 8)}

    def layer() -> dict:
        matrices = {name: {"kernel": rng.normal(size=shape).astype(np.float32)} for name, shape in shapes.items()}
        return {"feed_forward": matrices, "norm": {"scale": rng.normal(size=8).astype(np.float32)}}

    return {f"layer_{i}": layer() for i in range(24)}  # more arrays than programs may wait for the other process


def main(address: str, index: int) -> None:
    jax.distributed.initialize(address, num_processes=2, process_id=index, initialization_timeout=60)
    mesh = make_mesh(MeshConfig(data=1, fsdp=4))
    places = place_params(params(), mesh)
    divided = jax.tree.map(
        lambda value, place: jax.make_array_from_callback(value.shape, place, lambda at: value[at]), params(), places
    )
    for _ in range(5):
        own = divided_in_each_process(divided, mesh)
    leaves = jax.tree.leaves(own)
    seen = {
        "equal": jax.tree.map(lambda value, whole: np.array_equal(value, whole), own, params()),
        "devices": sorted({device.id for leaf in leaves for device in leaf.sharding.device_set}),
        "largest part": max(shard.data.size for leaf in leaves for shard in leaf.addressable_shards),
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
