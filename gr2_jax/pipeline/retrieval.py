"""Stage 3: train a retrieval model on the docids of one scheme (Eq. 10)."""

import dataclasses
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gr2_jax.config import Experiment, System
from gr2_jax.data.batches import BatchShape, GradedBatches
from gr2_jax.data.tasks import ExampleArrays
from gr2_jax.models import GR2, T5Config
from gr2_jax.pipeline.docids import load_docids
from gr2_jax.pipeline.prepare import load_examples, load_tokenizer, read_corpus
from gr2_jax.pipeline.semantics import starting_params, weights_fingerprint
from gr2_jax.progress import say
from gr2_jax.training.loop import Plan, adam, train
from gr2_jax.training.objectives import retrieval_loss
from gr2_jax.workdir import STAGE_FILE, Workdir, digest, is_done, read_json, write_json


def train_system(experiment: Experiment, workdir: Workdir, system: System, docids_print: str) -> str:
    """Trains to checkpoints/<name>-<fingerprint>/, going on from what is there; returns the fingerprint."""
    retrieval = dataclasses.replace(experiment.retrieval, systems=(system,), views=(), checkpoint_seconds=0)
    fingerprint = digest([docids_print, retrieval, weights_fingerprint(retrieval.model)])
    directory = workdir.checkpoints(f"{system.name}-{fingerprint}")
    if is_done(directory, fingerprint):
        return fingerprint
    plan, params, config = _plan(experiment, workdir, system)
    say(f"training {system.name} on {system.docids} docids, {plan.steps:,} steps")
    meta = train(plan, params, directory)
    write_json(directory / STAGE_FILE, {"fingerprint": fingerprint, "t5": dataclasses.asdict(config), **meta})
    say(f"  {meta['seconds']:.0f} s, last loss {meta['loss']:.3f}")
    return fingerprint


def retrieval_model(config: T5Config, docid_vocabulary: np.ndarray) -> GR2:
    """The model over the tokens that the docids use; the others can never be written, so no softmax spends on them."""
    return GR2(config, tuple(int(token) for token in docid_vocabulary))


def trained_model(directory: Path, docid_vocabulary: np.ndarray) -> GR2:
    """The model that `train_system` left in `directory`, whatever has become of the weights that it started from."""
    return retrieval_model(T5Config(**read_json(directory / STAGE_FILE)["t5"]), docid_vocabulary)


def token_columns(docid_vocabulary: np.ndarray, vocab_size: int) -> np.ndarray:
    """[V]: the column of the model's logits for each token of a docid (0 for the others, which are never asked for)."""
    columns = np.zeros(vocab_size, np.int32)
    columns[docid_vocabulary] = np.arange(len(docid_vocabulary))
    return columns


def _plan(experiment: Experiment, workdir: Workdir, system: System) -> tuple[Plan, dict, T5Config]:
    retrieval, examples = experiment.retrieval, load_examples(workdir)
    vocab_size = load_tokenizer(experiment, workdir).size
    trie, table = load_docids(experiment, workdir, system.docids)
    model = retrieval_model(retrieval.model.t5(vocab_size), trie.tokens)
    params = model.init(jax.random.key(experiment.seed), np.ones((1, 2), int), table[:1, None])["params"]
    params = starting_params(params, retrieval.model, model.config, workdir, workdir.docids(system.docids))
    loss = partial(
        retrieval_loss,
        model=model,
        objective=dataclasses.replace(retrieval.objective, **system.objective),
        docid_table=jnp.asarray(table),
        target_columns=jnp.asarray(token_columns(trie.tokens, vocab_size)),
        num_grades=read_corpus(workdir)[0].max_grade,
        microbatches=retrieval.batch.microbatches,
    )
    steps = round(retrieval.optimiser.steps * system.steps)
    plan = Plan(
        label=system.name,
        loss=loss,
        batches=graded_batches(experiment, examples),
        optimiser=adam(**vars(retrieval.optimiser) | {"steps": steps}),
        steps=steps,
        seed=experiment.seed,
        checkpoint_seconds=retrieval.checkpoint_seconds,
    )
    return plan, params, model.config


def graded_batches(experiment: Experiment, examples: dict[str, ExampleArrays]) -> GradedBatches:
    batch = experiment.retrieval.batch
    shape = BatchShape(
        queries=batch.queries,
        docids=batch.docids,
        documents=batch.documents,
        pseudo_share=batch.pseudo_share,
        span=(batch.shortest_span, batch.longest_span),
        length=batch.length,
    )
    return GradedBatches(examples["queries"], examples["pseudo"], examples["documents"], shape, experiment.seed)
