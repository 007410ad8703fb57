"""`python attention_on_mesh.py`: the TPU's attention, interpreted, and what cuDNN's does around cuDNN, with XLA in its
place, on eight devices and on one, as JSON."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np

from gr2_jax.models.attention import by_position
from gr2_jax.models.attention_forms import cudnn_attention
from gr2_jax.models.attention_tpu import pallas_attention
from gr2_jax.training.mesh import MeshConfig, make_mesh, using

HEADS, LENGTH, WIDTH = 4, 9, 8


def arrays(batch: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [(batch, HEADS, LENGTH, WIDTH)] * 4 + [(HEADS, 2 * LENGTH - 1)]
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def attend(queries, keys, values, bias):
    mask = jnp.arange(LENGTH) < 1 + jnp.arange(len(queries))[:, None]
    return pallas_attention(queries, keys, values, bias, mask, interpret=True)


def around_cudnn(queries, keys, values, bias):
    mask = jnp.arange(LENGTH) < jnp.arange(len(queries))[:, None]  # the first sequence has no key
    return cudnn_attention(queries, keys, values, by_position(bias, LENGTH), mask)


def trained(queries, keys, values, cotangent, bias, attend=attend):
    out, pull = jax.vjp(attend, queries, keys, values, bias)
    return out, *pull(cotangent)


def only_attended(queries, keys, values, cotangent, bias):
    return (attend(queries, keys, values, bias),)


def main() -> None:
    seen = {}
    plain = jax.nn.dot_product_attention
    jax.nn.dot_product_attention = lambda *arrays, **options: plain(*arrays, **options | {"implementation": "xla"})
    cases = [("divided", 4, trained), ("odd", 3, only_attended)]
    cases += [(f"cudnn {batch}", batch, functools.partial(trained, attend=around_cudnn)) for batch in (4, 3)]
    for name, batch, function in cases:
        alone = jax.jit(function)(*arrays(batch))
        with using(make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))):
            together = jax.jit(function)(*arrays(batch))
        seen[name] = {
            "devices": len(together[0].sharding.device_set),
            "part": together[0].sharding.shard_shape(together[0].shape),
            "furthest": max(float(np.abs(x - y).max()) for x, y in zip(alone, together, strict=True)),
        }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
