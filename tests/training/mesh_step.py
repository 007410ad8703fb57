"""One training step on a graded batch or a batch of pairs. As a program, on all devices that there are:
`python mesh_step.py DIRECTORY LOSS` trains in DIRECTORY and prints the run's meta and the batch's placement as JSON."""

import functools
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gr2_jax.losses import grade_matrix, mgcc_loss
from gr2_jax.models import GR2, Fusion, T5Config
from gr2_jax.objectives.docids import FusionObjective, fusion_loss
from gr2_jax.objectives.retrieval import RetrievalObjective, retrieval_loss
from gr2_jax.training.job import TrainingJob
from gr2_jax.training.loop import train
from gr2_jax.training.mesh import make_mesh, put_batch

TABLE = np.array([[4, 5, 1], [6, 1, 0], [5, 5, 1], [9, 9, 1], [7, 1, 0], [8, 4, 1]])
CONFIG = T5Config(
    vocab_size=16, d_model=8, d_kv=4, d_ff=8, num_heads=2, num_encoder_layers=0, num_decoder_layers=1, dropout_rate=0.0
)
MODEL = GR2(CONFIG)
FUSION = Fusion(CONFIG)


def embedding_loss(params, batch, rng):
    """MGCC over bags of words, every query against every docid of the batch; documents are pulled to their docids."""

    def embed(tokens, rng):
        return jnp.mean(params["table"][tokens] * jax.random.bernoulli(rng, 0.8, (*tokens.shape, 1)), axis=-2)

    query_rng, docid_rng, document_rng = jax.random.split(rng, 3)
    rows = batch["docid_rows"].reshape(-1)
    docids, table = embed(jnp.asarray(TABLE)[rows], docid_rng), params["table"][TABLE].mean(axis=1)
    grades, mask = grade_matrix(rows, batch["judged_rows"], batch["judged_grades"])
    mgcc = mgcc_loss(embed(batch["query_tokens"], query_rng), docids, grades, num_grades=3, docid_mask=mask)
    pull = jnp.mean(jnp.square(embed(batch["indexing_tokens"], document_rng) - table[batch["indexing_rows"]]))
    return mgcc + pull, {"mgcc": mgcc, "pull": pull}


LOSSES = {
    "embedding": embedding_loss,
    "retrieval": functools.partial(
        retrieval_loss,
        model=MODEL,
        objective=RetrievalObjective(),
        docid_table=jnp.asarray(TABLE),
        target_columns=jnp.arange(16),
        num_grades=3,
    ),
    "fusion": functools.partial(fusion_loss, model=FUSION, objective=FusionObjective()),
}


def start(name):
    shapes = {"table": jax.ShapeDtypeStruct((16, 8), jnp.float32)}
    if name == "retrieval":
        shapes = jax.eval_shape(MODEL.init, jax.random.key(0), np.ones((1, 2), int), TABLE[:1, None])["params"]
    if name == "fusion":
        shapes = jax.eval_shape(FUSION.init, jax.random.key(0), *np.ones((2, 1, 2), int))["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: 0.5 * rng.normal(size=x.shape).astype(np.float32), shapes)


def batch(step, host=0, hosts=1):
    """Eight queries, which eight devices can share evenly, and six documents, which they cannot."""
    rng = np.random.default_rng(step)
    judged, grades = rng.integers(0, 6, (8, 3)), rng.integers(1, 4, (8, 3))
    return {
        "query_tokens": rng.integers(2, 16, (8, 4)),
        "docid_rows": judged[:, :2],
        "grades": grades[:, :2],
        "judged_rows": judged,
        "judged_grades": grades,
        "indexing_tokens": rng.integers(2, 16, (6, 4)),
        "indexing_rows": np.arange(6),
    }


def pairs(step, host=0, hosts=1):
    """Four documents, each with two of its queries: Eq. 1 and 2 compare all pairs."""
    rng = np.random.default_rng(step)
    tokens = rng.integers(2, 16, (8, 7))
    return {"document_tokens": tokens[:, :4], "query_tokens": tokens[:, 4:], "document_rows": np.arange(8) // 2}


def train_one_step(directory, name):
    """Plain gradient descent: Adam's first step would amplify the rounding of the smallest gradients."""
    batches = pairs if name == "fusion" else batch
    return train(TrainingJob("mesh", LOSSES[name], batches, optax.sgd(0.1), 1, 0), start(name), directory)


def _places(array):
    return {"spec": list(array.sharding.spec), "shards": [list(s.data.shape) for s in array.addressable_shards]}


if __name__ == "__main__":
    placed = {name: _places(array) for name, array in put_batch(batch, 0, make_mesh()).items()}
    print(json.dumps({"meta": train_one_step(Path(sys.argv[1]), sys.argv[2]), "placed": placed}))
