"""`python statistics_on_mesh.py`: statistics and gradients in pieces, on eight devices and without a mesh, as JSON."""

import json

import jax
import jax.numpy as jnp
import numpy as np

from gr2_jax.models.logit_statistics import statistics_in_pieces
from gr2_jax.planning.collectives import collectives
from gr2_jax.training.mesh import MeshConfig, make_mesh, using


def main() -> None:
    rng = np.random.default_rng(0)
    states = jnp.asarray(rng.normal(size=(8, 2, 4, 6)), "float32")
    table = jnp.asarray(rng.normal(size=(10, 6)), "float32")
    targets = jnp.asarray(rng.integers(0, 10, (8, 2, 4)))

    def loss(states, table):
        found = statistics_in_pieces(states, table, targets, "float32", 4)
        return jnp.sum(found.log_sum * 2 - found.target + found.mean * jnp.arange(8.0)[:, None, None])

    def both(states, table):
        return jax.value_and_grad(loss, (0, 1))(states, table)

    one = jax.jit(both)(states, table)
    with using(make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))):
        program = jax.jit(both).lower(states, table).compile()
        many = program(states, table)
    sums = [one.times for one in collectives(program.as_text()) if one.kind == "all-reduce" and "10,6" in one.shape]
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True)
    apart = [float(jnp.abs(a - b).max() / jnp.abs(a).max()) for a, b in pairs]
    print(json.dumps({"apart": apart, "sums of the table's gradient": sums}))


if __name__ == "__main__":
    main()
