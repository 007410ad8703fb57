"""The dense baseline: a bi-encoder trained on the batches of the generative rows, and exact search of its vectors."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from gr2_jax.config import DenseRow, Experiment
from gr2_jax.data.batches import cut_inputs
from gr2_jax.data.vocabulary import pad_rows
from gr2_jax.evaluation.dense import DenseIndex
from gr2_jax.models import T5Config
from gr2_jax.models.bi_encoder import BiEncoder
from gr2_jax.pipeline.generated_queries import training_examples
from gr2_jax.pipeline.prepare import load_examples, load_tokenizer, read_corpus
from gr2_jax.pipeline.retrieval import graded_batches
from gr2_jax.pipeline.runs import DEPTH, PARTS, queries_of, timed, write_runs
from gr2_jax.pipeline.semantics import starting_params, weights_fingerprint
from gr2_jax.progress import say
from gr2_jax.training.checkpoints import restore_params
from gr2_jax.training.dense_objective import dense_loss
from gr2_jax.training.loop import Plan, adam, train
from gr2_jax.training.mesh import of_this_host
from gr2_jax.workdir import STAGE_FILE, Workdir, digest, is_done, read_json, run_stage, write_json

VECTORS = "vectors.npy"
_DOCUMENTS_AT_ONCE, _QUERIES_AT_ONCE = 256, 64


def train_dense(experiment: Experiment, workdir: Workdir, row: DenseRow, upstream: str) -> str:
    """Trains to checkpoints/<name>-<fingerprint>/, going on from what is there, and leaves the documents' vectors
    there; returns the fingerprint. `upstream` is that of the examples."""
    retrieval = experiment.retrieval
    settings = [retrieval.model, retrieval.optimiser, retrieval.batch, weights_fingerprint(retrieval.model)]
    fingerprint = digest([upstream, row, *settings])
    directory = workdir.checkpoints(f"{row.name}-{fingerprint}")
    if is_done(directory, fingerprint):
        return fingerprint
    model = BiEncoder(retrieval.model.t5(load_tokenizer(experiment, workdir).size))
    plan = _plan(experiment, workdir, row, model)
    say(f"training {row.name}, {plan.steps:,} steps")
    start = starting_params(_initial_params(model, experiment.seed), retrieval.model, model.config, workdir)
    meta = train(plan, start, directory)
    say(f"  {meta['seconds']:.0f} s, last loss {meta['loss']:.3f}")
    _write_vectors(directory / VECTORS, model, _trained(directory, model), _leading_tokens(experiment, workdir, row))
    write_json(directory / STAGE_FILE, {"fingerprint": fingerprint, "t5": dataclasses.asdict(model.config), **meta})
    return fingerprint


def evaluate_dense(experiment: Experiment, workdir: Workdir, row: DenseRow, train_print: str) -> str:
    """Writes runs/<name>/{test,validation}.trec and cost.json; returns the fingerprint."""
    fingerprint = digest([train_print, experiment.evaluation.query_length])
    run_stage(workdir.runs / row.name, fingerprint, partial(_evaluate, experiment, workdir, row, train_print))
    return fingerprint


def _evaluate(experiment: Experiment, workdir: Workdir, row: DenseRow, train_print: str, out: Path) -> None:
    say(f"searching with {row.name}")
    collection, split = read_corpus(workdir)
    directory = workdir.checkpoints(f"{row.name}-{train_print}")
    stage = read_json(directory / STAGE_FILE)
    model = BiEncoder(T5Config(**stage["t5"]))
    params = _trained(directory, model)
    index = _index(experiment, workdir, directory, model, params)
    model_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    cost = {"index_mb": index.nbytes / 1e6, "model_mb": model_bytes / 1e6, "train_seconds": stage["seconds"]}
    index.search({"": "compiles"}, DEPTH)
    runs = {}
    for part in PARTS:
        queries = queries_of(part, collection.queries, split)
        runs[part], cost[f"{part}_ms_per_query"] = timed(partial(index.search, k=DEPTH), queries)
    write_runs(out, row.name, runs, cost)


def _index(experiment: Experiment, workdir: Workdir, directory: Path, model: BiEncoder, params: dict) -> DenseIndex:
    tokenizer, end = load_tokenizer(experiment, workdir), experiment.retrieval.model.input_end
    doc_ids = [document.doc_id for document in read_corpus(workdir)[0].documents]
    encode = _encoder(model, params, _QUERIES_AT_ONCE)

    def encode_texts(texts: list[str]) -> Float[np.ndarray, "Q D"]:
        tokens = pad_rows(tokenizer.encode_batch(texts), experiment.evaluation.query_length, eos=end)
        return np.concatenate(list(encode(tokens)))

    return DenseIndex(doc_ids, np.load(directory / VECTORS, mmap_mode="r"), encode_texts)


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
        batches=of_this_host(graded_batches(experiment, training_examples(experiment, workdir), None)),
        optimiser=adam(**vars(optimiser)),
        steps=optimiser.steps,
        seed=experiment.seed,
        checkpoint_seconds=retrieval.checkpoint_seconds,
    )


def _leading_tokens(experiment: Experiment, workdir: Workdir, row: DenseRow) -> Int[np.ndarray, "N S"]:
    """What the encoder reads of every document, in the collection's order."""
    documents = load_examples(workdir)["documents"]
    return cut_inputs(documents.tokens, row.document_length, experiment.retrieval.model.input_end)


def _initial_params(model: BiEncoder, seed: int) -> dict:
    return model.init(jax.random.key(seed), np.ones((1, 2), int))["params"]


def _trained(directory: Path, model: BiEncoder) -> dict:
    return restore_params(directory, jax.eval_shape(partial(_initial_params, model, 0)))[0]


def _encoder(model: BiEncoder, params: dict, size: int) -> Callable[[np.ndarray], Iterator[np.ndarray]]:
    """Tokens [n, S] -> vectors [at most `size`, D], part by part; compiled once for each S."""
    apply = jax.jit(lambda params, tokens: model.apply({"params": params}, tokens))

    def encode(tokens: Int[np.ndarray, "n S"]) -> Iterator[Float[np.ndarray, "m D"]]:
        for start in range(0, len(tokens), size):
            part = tokens[start : start + size]
            filled = np.pad(part, [(0, size - len(part)), (0, 0)])
            yield np.asarray(apply(params, filled))[: len(part)]

    return encode


def _write_vectors(path: Path, model: BiEncoder, params: dict, tokens: Int[np.ndarray, "N S"]) -> None:
    """float32 [N, D], written part by part beside `path` and renamed."""
    partial_path, start = path.with_name(path.name + ".partial"), 0
    shape = (len(tokens), model.config.d_model)
    vectors = np.lib.format.open_memmap(partial_path, mode="w+", dtype=np.float32, shape=shape)
    for part in _encoder(model, params, _DOCUMENTS_AT_ONCE)(tokens):
        vectors[start : start + len(part)] = part
        start += len(part)
    vectors.flush()
    os.replace(partial_path, path)
