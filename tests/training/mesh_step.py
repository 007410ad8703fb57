"""One update step of the retrieval loss, and, as a program, the same on as many devices as there are:
`python mesh_step.py DIRECTORY` trains there and prints what it saw as JSON."""

import functools
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gr2_jax.models import GR2, T5Config
from gr2_jax.training.loop import Plan, train
from gr2_jax.training.mesh import data_mesh, put_batch
from gr2_jax.training.objectives import RetrievalObjective, retrieval_loss

TABLE = np.array([[4, 5, 1], [6, 1, 0], [5, 5, 1], [9, 9, 1], [7, 1, 0], [8, 4, 1]])
CONFIG = T5Config(
    vocab_size=16,
    d_model=8,
    d_kv=4,
    d_ff=8,
    num_heads=2,
    num_encoder_layers=0,
    num_decoder_layers=1,
    dropout_rate=0.2,
)
MODEL = GR2(CONFIG)


def start():
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(MODEL.init, jax.random.key(0), np.ones((1, 2), int), TABLE[:1, None])["params"]
    return jax.tree.map(lambda x: 0.5 * rng.normal(size=x.shape).astype(np.float32), shapes)


def batch(step):
    """Eight queries, which eight devices share, and six documents, which they cannot."""
    rng = np.random.default_rng(step)
    judged, grades = rng.integers(0, 6, (8, 3)), rng.integers(1, 4, (8, 3))
    return {
        "query_tokens": rng.integers(2, 16, (8, 4)),
        "docid_rows": judged[:, :2],
        "grades": grades[:, :2],
        "judged_rows": judged,
        "judged_grades": grades,
        "document_tokens": rng.integers(2, 16, (6, 4)),
        "document_rows": np.arange(6),
    }


def train_one_step(directory):
    """Plain gradient descent: Adam's first step would make noise of the smallest gradients."""
    loss = functools.partial(
        retrieval_loss,
        model=MODEL,
        objective=RetrievalObjective(),
        docid_table=jnp.asarray(TABLE),
        target_columns=jnp.arange(16),
        num_grades=3,
    )
    return train(Plan("mesh", loss, batch, optax.sgd(0.1), 1, 0, 1e9), start(), directory)


def _places(array):
    return {"spec": list(array.sharding.spec), "shards": [list(s.data.shape) for s in array.addressable_shards]}


if __name__ == "__main__":
    placed = put_batch(batch(0), data_mesh())
    meta = train_one_step(Path(sys.argv[1]))
    print(json.dumps({"meta": meta, "placed": {name: _places(array) for name, array in placed.items()}}))
