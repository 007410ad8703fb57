"""The programs of a config, by shapes alone: no weights, no vocabulary and no data are read."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from gr2_jax.corpus.wikipedia.pairs import ITSELF
from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.batches import GradedBatches
from gr2_jax.errors import UserError
from gr2_jax.experiment import BatchConfig, PairsConfig, Settings
from gr2_jax.models import GR2
from gr2_jax.pipeline.initial_weights import random_params
from gr2_jax.pipeline.retrieval_step import RetrievalStep
from gr2_jax.training.mesh import batch_parts, batch_sharding, using
from gr2_jax.training.optimiser import make_optimiser
from gr2_jax.training.partition import place_params
from gr2_jax.training.step import Step

VOCABULARY = 32128  # T5's, with its padding


def step_of(settings: Settings) -> RetrievalStep:
    """The training step of a config: of its first row, where it trains several. Docids are as long as the config
    allows, and a retrieval model that starts from weights has the shape of its preset."""
    retrieval = settings.retrieval
    first = next(iter(settings.rows), None)
    return RetrievalStep(
        model=GR2(retrieval.model.t5_of_preset(VOCABULARY)),
        objective=getattr(first, "objective", None) or retrieval.objective,
        optimiser=retrieval.optimiser,
        batch=retrieval.batch,
        num_grades=ITSELF,
        docid_length=settings.docids.max_length + 1,
    )


def judged_of(settings: Settings) -> int:
    """Judged documents that a batch holds per query; pre-training's default where only the collection would tell."""
    return getattr(settings, "pairs", PairsConfig()).judged


def check_mesh(settings: Settings, mesh: Mesh | AbstractMesh) -> None:
    """Raises `UserError` where the mesh does not divide the batch or the model of a config; compiles nothing."""
    retrieval = step_of(settings)
    _check_batch(retrieval.batch, batch_parts(mesh))
    place_params(_trained_shapes(retrieval), mesh)


def _check_batch(batch: BatchConfig, parts: int) -> None:
    sizes = {"queries": batch.queries, "indexing_texts": batch.indexing_texts}
    if batch.long_documents:
        sizes |= {
            "indexing_texts from the augmentation": batch.pseudo,
            "indexing_texts from documents": batch.long_documents,
        }
    for name, size in sizes.items():
        if size % parts:
            raise UserError(f"batch.{name} is {size} and the mesh splits it {parts} ways: use a multiple of {parts}")


def _trained_shapes(retrieval: RetrievalStep) -> dict:
    return jax.eval_shape(lambda: retrieval.trained(random_params(retrieval.model, 0)))


def lowered_step(retrieval: RetrievalStep, judged: int, mesh: Mesh) -> tuple[Step, jax.stages.Lowered]:
    """The step on the mesh, and lowered for it. Raises `UserError` where the mesh does not divide batch or model."""
    _check_batch(retrieval.batch, batch_parts(mesh))
    step = Step(retrieval.loss, make_optimiser(retrieval.optimiser), 0, mesh, _trained_shapes(retrieval))
    rows = batch_sharding(mesh)
    arrays = {
        name: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=rows)
        for name, array in example_batches(retrieval, judged)(0).items()
    }
    number = jax.ShapeDtypeStruct((), jnp.int32, sharding=NamedSharding(mesh, PartitionSpec()))
    with using(mesh):
        return step, step.compiled.lower(step.abstract, arrays, number)


def state_bytes(retrieval: RetrievalStep) -> int:
    """Bytes of a checkpoint: all parameters, and the optimiser's state."""
    params = _trained_shapes(retrieval)
    state = params, jax.eval_shape(make_optimiser(retrieval.optimiser).init, params)
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state))


def example_batches(retrieval: RetrievalStep, judged: int) -> GradedBatches:
    """Batches as training reads them, of one made-up example."""

    def example(documents: int) -> ExampleArrays:
        tokens = np.ones((1, retrieval.batch.length), np.int32)
        one = np.ones((1, documents), np.int32)
        return ExampleArrays(tokens, one, one, np.ones((1, documents, retrieval.docid_length), np.int32))

    return GradedBatches(example(judged), example(1), example(1), retrieval.batch, seed=0)
