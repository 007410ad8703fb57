"""Stage 3: train a retrieval model on the docids of one scheme (Eq. 10)."""

import dataclasses
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from gr2_jax.config import Experiment, SelfNegativeConfig, System
from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.batches import BatchShape, GradedBatches
from gr2_jax.losses import penalty_parameters
from gr2_jax.models import GR2
from gr2_jax.pipeline.docids import load_docids
from gr2_jax.pipeline.generated_queries import training_examples
from gr2_jax.pipeline.prepare import load_tokenizer, read_corpus
from gr2_jax.pipeline.self_negatives import mined_negatives
from gr2_jax.pipeline.semantics import starting_params, weights_fingerprint
from gr2_jax.pipeline.trained import about_model, initial_params, load_retriever, retrieval_model, token_columns
from gr2_jax.pipeline.validation import CURVE, validation_hook
from gr2_jax.progress import say
from gr2_jax.training.flops import training_flops
from gr2_jax.training.loop import Plan, train
from gr2_jax.training.objectives import RetrievalObjective, retrieval_loss
from gr2_jax.training.optimiser import make_optimiser
from gr2_jax.workdir import STAGE_FILE, Workdir, digest, is_done, read_json, write_json


def train_system(
    experiment: Experiment, workdir: Workdir, system: System, upstream: str, trained: dict[str, str]
) -> str:
    """Trains to checkpoints/<name>-<fingerprint>/, going on from what is there; returns the fingerprint.

    `upstream` is the fingerprint of the docids and examples; `trained` holds the fingerprints of the systems before it,
    among them the one that `self_negatives_of` names.
    """
    retrieval = dataclasses.replace(experiment.retrieval, systems=(system,), views=(), dense=(), evaluate_every=0)
    start_print = None if system.self_negatives_of is None else trained[system.self_negatives_of]
    if start_print is None:
        retrieval = dataclasses.replace(retrieval, self_negatives=SelfNegativeConfig())  # which it does not use
    fingerprint = digest([upstream, retrieval, weights_fingerprint(retrieval.model), start_print])
    directory = workdir.checkpoints(f"{system.name}-{fingerprint}")
    if is_done(directory, fingerprint):
        if experiment.retrieval.evaluate_every and not (directory / CURVE).is_file():
            say(f"{system.name} is trained already: retrieval.evaluate_every looks at a training while it goes on")
        return fingerprint
    if start_print is None:
        start = _start_anew(experiment, workdir, system)
    else:
        start = _start_from(experiment, workdir, system, start_print)
    plan = _plan(experiment, workdir, system, start)
    if experiment.retrieval.evaluate_every:
        hook, best = validation_hook(experiment, workdir, system, start.model, directory)
        plan = dataclasses.replace(plan, hook=hook, hook_every=experiment.retrieval.evaluate_every, best=best)
    about = about_model(experiment, workdir, system, start.model)
    write_json(directory / STAGE_FILE, about)  # without a fingerprint, which says that training has ended
    say(f"training {system.name} on {system.docids} docids, {plan.steps:,} steps")
    objective, num_grades = experiment.retrieval.objective_of(system), read_corpus(workdir)[0].max_grade
    meta = train(plan, _with_penalty(start.params, objective, num_grades), directory)
    say(f"  {meta['seconds']:.0f} s, last loss {meta['loss']:.3f}")
    meta["seconds"] += start.seconds
    write_json(directory / STAGE_FILE, {"fingerprint": fingerprint, **about, **meta})
    return fingerprint


class _Start(NamedTuple):
    """What training sets out from; `seconds` went into it before."""

    model: GR2
    params: dict
    negatives: Int[np.ndarray, "E depth"] | None = None
    seconds: float = 0.0


def _start_anew(experiment: Experiment, workdir: Workdir, system: System) -> _Start:
    config = experiment.retrieval.model
    trie, _ = load_docids(experiment, workdir, system.docids)
    model = retrieval_model(config.t5(load_tokenizer(experiment, workdir).size), trie.tokens)
    params = initial_params(model, experiment.seed)
    return _Start(model, starting_params(params, config, model.config, workdir, workdir.docids(system.docids)))


def _with_penalty(params: dict, objective: RetrievalObjective, num_grades: int) -> dict:
    """With the parameters of a learnable penalty, at the paper's values; searching has no use for them."""
    return params | ({"penalty": penalty_parameters("rank", num_grades)} if objective.penalty == "learnable" else {})


def _start_from(experiment: Experiment, workdir: Workdir, system: System, train_print: str) -> _Start:
    """The weights of the system that `self_negatives_of` names, and what it finds wrongly for the training queries."""
    other = dataclasses.replace(system, name=system.self_negatives_of)
    retriever = load_retriever(experiment, workdir, other, train_print)
    settings, end = experiment.retrieval.self_negatives, experiment.retrieval.model.input_end
    mined = mined_negatives(workdir, other.name, train_print, retriever, settings, end)
    trained = read_json(workdir.checkpoints(f"{other.name}-{train_print}") / STAGE_FILE)
    return _Start(retriever.model, retriever.params, mined.rows, trained["seconds"] + mined.seconds)


def _plan(experiment: Experiment, workdir: Workdir, system: System, start: _Start) -> Plan:
    retrieval, optimiser = experiment.retrieval, experiment.retrieval.optimiser_of(system)
    trie, table = load_docids(experiment, workdir, system.docids)
    loss = partial(
        retrieval_loss,
        model=start.model,
        objective=retrieval.objective_of(system),
        docid_table=jnp.asarray(table),
        target_columns=jnp.asarray(token_columns(trie.tokens, load_tokenizer(experiment, workdir).size)),
        num_grades=read_corpus(workdir)[0].max_grade,
        microbatches=retrieval.batch.microbatches,
        self_negative_weight=retrieval.self_negatives.weight,
    )
    negatives = 0 if start.negatives is None else retrieval.self_negatives.negatives
    return Plan(
        label=system.name,
        loss=loss,
        batches=graded_batches(experiment, training_examples(experiment, workdir), start.negatives),
        optimiser=make_optimiser(**vars(optimiser)),
        steps=optimiser.steps,
        seed=experiment.seed,
        mesh=experiment.mesh,
        loop=experiment.loop,
        query=load_tokenizer(experiment, workdir).decode,
        flops=training_flops(
            start.model.config,
            retrieval.batch.step_shape(table.shape[1], len(trie.tokens), negatives),
        ),
    )


def graded_batches(
    experiment: Experiment, examples: dict[str, ExampleArrays], negatives: Int[np.ndarray, "E depth"] | None
) -> GradedBatches:
    batch = experiment.retrieval.batch
    shape = BatchShape(
        queries=batch.queries,
        docids=batch.docids,
        documents=batch.documents,
        pseudo_share=batch.pseudo_share,
        span=(batch.shortest_span, batch.longest_span),
        length=batch.length,
        negatives=experiment.retrieval.self_negatives.negatives,
        eos=experiment.retrieval.model.input_end,
    )
    sources = examples["queries"], examples["pseudo"], examples["documents"]
    return GradedBatches(*sources, shape, experiment.seed, negatives)
