"""Training of the dense baseline: a bi-encoder, on the batches of the generative rows."""

import dataclasses
from functools import partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from gr2_jax.config import DenseRow, Experiment
from gr2_jax.data.batches import cut_inputs
from gr2_jax.models.bi_encoder import BiEncoder
from gr2_jax.pipeline.dense_index import initial_params, trained_bi_encoder, write_vectors
from gr2_jax.pipeline.generated_queries import training_examples
from gr2_jax.pipeline.prepare import load_examples, load_tokenizer
from gr2_jax.pipeline.retrieval import graded_batches
from gr2_jax.pipeline.semantics import starting_params, weights_fingerprint
from gr2_jax.progress import say
from gr2_jax.training.dense_objective import dense_loss
from gr2_jax.training.loop import Plan, train
from gr2_jax.training.optimiser import make_optimiser
from gr2_jax.workdir import STAGE_FILE, Workdir, digest, is_done, write_json


def train_dense(experiment: Experiment, workdir: Workdir, row: DenseRow, upstream: str) -> str:
    """Trains to checkpoints/<name>-<fingerprint>/, going on from what is there, and leaves the documents' vectors
    there; returns the fingerprint. `upstream` is that of the examples."""
    retrieval = experiment.retrieval
    settings = [retrieval.model, retrieval.optimiser, retrieval.batch, weights_fingerprint(retrieval.model)]
    fingerprint = digest([upstream, row, *settings])
    directory = workdir.checkpoints(f"{row.name}-{fingerprint}")
    if is_done(directory, fingerprint):
        return fingerprint
    tokenizer = load_tokenizer(experiment, workdir)
    model = BiEncoder(retrieval.model.t5(tokenizer.size))
    plan = _plan(experiment, workdir, row, model)
    say(f"training {row.name}, {plan.steps:,} steps")
    start = starting_params(initial_params(model, experiment.seed), retrieval.model, model.config, workdir)
    meta = train(plan, start, directory)
    say(f"  {meta['seconds']:.0f} s, last loss {meta['loss']:.3f}")
    about = {"t5": dataclasses.asdict(model.config), "vocabulary": tokenizer.fingerprint}
    write_vectors(directory, *trained_bi_encoder(directory, model.config), _leading_tokens(experiment, workdir, row))
    write_json(directory / STAGE_FILE, {"fingerprint": fingerprint, **about, **meta})
    return fingerprint


def _plan(experiment: Experiment, workdir: Workdir, row: DenseRow, model: BiEncoder) -> Plan:
    retrieval = experiment.retrieval
    optimiser = dataclasses.replace(retrieval.optimiser, steps=round(retrieval.optimiser.steps * row.steps))
    loss = partial(
        dense_loss,
        model=model,
        document_table=jnp.asarray(_leading_tokens(experiment, workdir, row)),
        temperature=row.temperature,
        microbatches=retrieval.batch.microbatches,
    )
    return Plan(
        label=row.name,
        loss=loss,
        batches=graded_batches(experiment, training_examples(experiment, workdir), None),
        optimiser=make_optimiser(**vars(optimiser)),
        steps=optimiser.steps,
        seed=experiment.seed,
        mesh=experiment.mesh,
        loop=experiment.loop,
    )


def _leading_tokens(experiment: Experiment, workdir: Workdir, row: DenseRow) -> Int[np.ndarray, "N S"]:
    """What the encoder reads of every document, in the collection's order."""
    documents = load_examples(workdir)["documents"]
    return cut_inputs(documents.tokens, row.document_length, experiment.retrieval.model.input_end)
