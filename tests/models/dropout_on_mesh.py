"""`python dropout_on_mesh.py`: masks on eight devices, as JSON."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from gr2_jax.models.dropout import kept_by_rows
from gr2_jax.training.mesh import MeshConfig, make_mesh, using

SHAPE = (16, 32, 8)


def main() -> None:
    seen = {}
    for name, sizes in {"data": {"data": 8}, "mixed": {"data": 2, "fsdp": 2, "tensor": 2}}.items():
        draw = jax.jit(partial(kept_by_rows, dropped=2**14, shape=SHAPE))
        with using(make_mesh(MeshConfig(**sizes))):
            key = jax.random.key(3, impl="rbg")
            text = draw.lower(key).compile().as_text()
            drawn = "".join(line for line in text.splitlines() if "rng-bit-generator" in line)
            masks = [np.asarray(draw(key)), np.asarray(draw(key)), np.asarray(draw(jax.random.key(4, impl="rbg")))]
            odd = jax.jit(partial(kept_by_rows, dropped=2**14, shape=(3, 5)))(key)
        seen[name] = {
            "share": float(masks[0].mean()),
            "again": bool((masks[0] == masks[1]).all()),
            "other": bool((masks[0] == masks[2]).all()),
            "different_rows": len({row.tobytes() for row in masks[0]}),
            "whole": "[16,32,4]" in drawn,
            "odd": bool((odd == kept_by_rows(key, 2**14, (3, 5))).all()),
        }
    print(json.dumps(seen))


if __name__ == "__main__":
    assert jnp.asarray(0).dtype == jnp.int32
    main()
