"""A T5's loss and gradients, and, as a program, the same on eight devices: `python sharded_t5.py OUTPUT.npz`."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gr2_jax.models import T5, param_shardings, preset

MODEL = T5(preset("1.1-tiny", vocab_size=32, d_model=16, d_kv=4, d_ff=32, scan_layers=True, remat="minimal"))
RULES = [
    ("batch", ("data", "fsdp")),
    ("docids", None),
    ("length", None),
    ("vocab", "tensor"),
    ("embed", "fsdp"),
    ("activation_embed", None),
    ("joined_kv", "tensor"),
    ("heads", "tensor"),
    ("kv", None),
    ("mlp", "tensor"),
    ("relpos_buckets", None),
    ("layers", None),
]
QUERIES = np.random.default_rng(0).integers(0, 32, (8, 6))
DOCIDS = np.random.default_rng(1).integers(0, 32, (8, 3, 4))


def start():
    rng = np.random.default_rng(2)
    shapes = jax.eval_shape(MODEL.init, jax.random.key(0), QUERIES, DOCIDS)["params"]
    return jax.tree.map(lambda x: (0.3 * rng.normal(size=x.shape)).astype(np.float32), shapes)


def loss_and_gradients(params, queries=QUERIES, docids=DOCIDS):
    def loss(params, queries, docids):
        return jnp.mean(jnp.square(MODEL.apply({"params": params}, queries, docids)))

    return jax.jit(jax.value_and_grad(loss))(params, queries, docids)


if __name__ == "__main__":
    mesh = jax.make_mesh((2, 2, 2), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    params = start()
    with jax.set_mesh(mesh), nn.logical_axis_rules(RULES):
        params = jax.device_put(params, param_shardings(params, mesh, RULES))
        rows = NamedSharding(mesh, PartitionSpec(("data", "fsdp")))
        loss, gradients = loss_and_gradients(params, *(jax.device_put(x, rows) for x in (QUERIES, DOCIDS)))
    leaves = {f"gradient_{i}": x for i, x in enumerate(jax.tree.leaves(gradients))}
    np.savez(sys.argv[1], devices=jax.device_count(), loss=loss, **leaves)
