"""The programs of a config, by shapes alone: no weights, no vocabulary and no data are read."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gr2_jax.config import Experiment, ModelConfig, Pretraining
from gr2_jax.docids import DocidTrie
from gr2_jax.errors import UserError
from gr2_jax.evaluation.programs import beam_search_function
from gr2_jax.models import GR2, T5Config, preset
from gr2_jax.training.flops import StepShape
from gr2_jax.training.mesh import batch_parts, batch_sharding, using
from gr2_jax.training.objectives import retrieval_loss
from gr2_jax.training.optimiser import make_optimiser
from gr2_jax.training.step import Step

VOCABULARY = 32128  # T5's, with its padding
_GRADES, _JUDGED, _TRIE_DOCIDS = 4, 24, 100_000


@dataclasses.dataclass(frozen=True)
class Plannable:
    """What a config says of its training step."""

    t5: T5Config
    shape: StepShape
    judged: int
    microbatches: int
    optimiser: dict
    objective: object

    @classmethod
    def of(cls, config: Experiment | Pretraining) -> "Plannable":
        """Of the first system, where the config trains several. The docids' longest is as long as the config allows."""
        if isinstance(config, Pretraining):
            part, docid_length, judged = config, config.docid_length, config.judged
            objective = config.objective
        else:
            part, docid_length, judged = config.retrieval, config.docids.max_length + 1, _JUDGED
            objective = part.objective_of(part.systems[0])
        batch, t5 = part.batch, model_of(part.model)
        shape = batch.step_shape(docid_length, t5.vocab_size)
        return cls(t5, shape, judged, batch.microbatches, vars(part.optimiser), objective)


def model_of(model: ModelConfig) -> T5Config:
    """The T5 of a config; where it starts from weights, that of its preset, as they are not read."""
    if model.weights is None:
        return model.t5(VOCABULARY)
    computing = {name: getattr(model, name) for name in ("dropout_rate", "dtype", "scan_layers", "remat")}
    return preset(model.preset, vocab_size=VOCABULARY, **computing)


def training_step(plan: Plannable, mesh: Mesh) -> tuple[Step, jax.stages.Lowered]:
    """The step on the mesh, and lowered for it. Raises `UserError` where the mesh does not divide batch or model."""
    model, shape = GR2(plan.t5), plan.shape
    tokens = np.ones((1, 2), int), np.ones((1, 1, 2), int)
    params = jax.eval_shape(lambda key: model.init(key, *tokens)["params"], jax.random.key(0))
    loss = functools.partial(
        retrieval_loss,
        model=model,
        objective=plan.objective,
        docid_table=None,
        target_columns=jnp.arange(VOCABULARY),
        num_grades=_GRADES,
        microbatches=plan.microbatches,
    )
    step = Step(loss, make_optimiser(**plan.optimiser), 0, mesh, params)
    rows = batch_sharding(mesh)
    for name, count in (("queries", shape.queries), ("documents", shape.documents)):
        if count % batch_parts(mesh):
            raise UserError(
                f"batch.{name} is {count} and the mesh splits it {batch_parts(mesh)} ways: use a multiple of that"
            )

    def rows_of(*sizes: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(sizes, jnp.int32, sharding=rows)

    batch = {
        "query_tokens": rows_of(shape.queries, shape.query_length),
        "docid_rows": rows_of(shape.queries, shape.docids),
        "grades": rows_of(shape.queries, shape.docids),
        "judged_rows": rows_of(shape.queries, plan.judged),
        "judged_grades": rows_of(shape.queries, plan.judged),
        "docid_tokens": rows_of(shape.queries, shape.docids, shape.docid_length),
        "document_tokens": rows_of(shape.documents, shape.document_length),
        "document_rows": rows_of(shape.documents),
        "document_docid_tokens": rows_of(shape.documents, shape.docid_length),
    }
    number = jax.ShapeDtypeStruct((), jnp.int32, sharding=NamedSharding(mesh, PartitionSpec()))
    with using(mesh):
        return step, step.compiled.lower(step.abstract, batch, number)


def search_step(t5: T5Config, devices: list, *, queries: int, beams: int, query_length: int) -> jax.stages.Lowered:
    """The constrained search, `queries` on each device, over a made-up trie of 100,000 docids of 8 tokens."""
    rng = np.random.default_rng(0)
    docids = np.unique(rng.integers(3, VOCABULARY, (_TRIE_DOCIDS, 8)), axis=0)
    trie, model = DocidTrie.from_sequences(docids), GR2(t5)
    search = beam_search_function(model, trie, np.arange(VOCABULARY), beams, None)
    mesh = Mesh(np.array(devices), ("data",))
    whole, split = (NamedSharding(mesh, spec) for spec in (PartitionSpec(), PartitionSpec("data")))

    def place(x, sharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    tokens = np.ones((1, 2), int), np.ones((1, 1, 2), int)
    params = jax.eval_shape(lambda key: model.init(key, *tokens)["params"], jax.random.key(0))
    on_all = jax.shard_map(
        search,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec("data"), PartitionSpec()),
        out_specs=PartitionSpec("data"),
        check_vma=False,
    )
    return jax.jit(on_all).lower(
        jax.tree.map(lambda x: place(x, whole), params),
        jax.ShapeDtypeStruct((queries * len(devices), query_length), jnp.int32, sharding=split),
        jax.tree.map(lambda x: place(x, whole), trie.arrays),
    )
