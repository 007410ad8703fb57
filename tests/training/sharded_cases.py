"""One step of both stages on any mesh. As a program, for eight devices: `python sharded_cases.py OUTPUT.npz` runs every
case, saves the gradients, and prints facts of the lowered steps as JSON."""

import functools
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import traverse_util

from gr2_jax.models import GR2, Fusion, T5Config
from gr2_jax.objectives.docids import FusionObjective, fusion_loss
from gr2_jax.objectives.retrieval import RetrievalObjective, retrieval_loss
from gr2_jax.training.mesh import MeshConfig, make_mesh, put_batch, using
from gr2_jax.training.step import Step

TABLE = np.array([[4, 5, 1], [6, 1, 0], [5, 5, 1], [9, 9, 1], [7, 1, 0], [8, 4, 1]])
CONFIG = T5Config(
    vocab_size=512,
    d_model=16,
    d_kv=4,
    d_ff=64,
    num_heads=2,
    num_encoder_layers=2,
    num_decoder_layers=2,
    relative_attention_num_buckets=8,
    dropout_rate=0.0,
    scan_layers=True,
    remat="minimal",
)
MODEL, FUSION = GR2(CONFIG), Fusion(CONFIG)
MESHES = {
    "data": MeshConfig(data=8),
    "fsdp": MeshConfig(data=1, fsdp=8),
    "tensor": MeshConfig(data=4, tensor=2),
    "mixed": MeshConfig(replica=1, data=2, fsdp=2, tensor=2),
    "replicas": MeshConfig(replica=2, data=1, fsdp=4),
}
STAGES = ("retrieval", "fusion")


def retrieval_batch(step, host=0, hosts=1):
    rng = np.random.default_rng(step)
    judged, grades = rng.integers(0, 6, (8, 3)), rng.integers(1, 4, (8, 3))
    part = slice(8 * host // hosts, 8 * (host + 1) // hosts)
    whole = {
        "query_tokens": rng.integers(2, 64, (8, 4)),
        "docid_rows": judged[:, :2],
        "grades": grades[:, :2],
        "judged_rows": judged,
        "judged_grades": grades,
        "indexing_tokens": rng.integers(2, 64, (8, 4)),
        "indexing_rows": np.arange(8) % 6,
    }
    return {name: rows[part] for name, rows in whole.items()}


def pairs(step, host=0, hosts=1):
    tokens = np.random.default_rng(step).integers(2, 64, (8, 7))
    return {"document_tokens": tokens[:, :4], "query_tokens": tokens[:, 4:], "document_rows": np.arange(8) // 2}


LOSSES = {
    "retrieval": functools.partial(
        retrieval_loss,
        model=MODEL,
        objective=RetrievalObjective(),
        docid_table=jnp.asarray(TABLE),
        target_columns=jnp.arange(512),
        num_grades=3,
    ),
    "fusion": functools.partial(fusion_loss, model=FUSION, objective=FusionObjective()),
}
BATCHES = {"retrieval": retrieval_batch, "fusion": pairs}


def start(stage):
    if stage == "retrieval":
        shapes = jax.eval_shape(MODEL.init, jax.random.key(0), np.ones((1, 2), int), TABLE[:1, None])["params"]
    else:
        shapes = jax.eval_shape(FUSION.init, jax.random.key(0), *np.ones((2, 1, 2), int))["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: 0.3 * rng.normal(size=x.shape).astype(np.float32), shapes)


def one_step(stage, config):
    """Loss, gradients (the update of plain descent), lowered text and placement of a step on the mesh of `config`."""
    mesh = make_mesh(config)
    step = Step(LOSSES[stage], optax.sgd(1.0), 0, mesh, start(stage))
    batch, state = put_batch(BATCHES[stage], 0, mesh), step.start(start(stage))
    with using(mesh):
        text = step.compiled.lower(state, batch, np.int32(0)).as_text()
    placed = {name: list(x.sharding.spec) for name, x in traverse_util.flatten_dict(state.params, sep="/").items()}
    after, report = step(state, batch, 0)
    gradients = jax.tree.map(lambda old, new: old - np.asarray(new), start(stage), after.params)
    return float(report.loss), traverse_util.flatten_dict(gradients, sep="/"), text, placed


if __name__ == "__main__":
    arrays, seen = {}, {}
    for stage in STAGES:
        for name, config in MESHES.items():
            loss, gradients, text, placed = one_step(stage, config)
            case = f"{stage}-{name}"
            arrays |= {f"{case}:{path}": value for path, value in gradients.items()} | {f"{case}:loss": loss}
            seen[case] = {"constraints": text.count("sharding_constraint"), "placed": placed}
    np.savez(sys.argv[1], **arrays)
    print(json.dumps({"devices": jax.device_count(), **seen}))
