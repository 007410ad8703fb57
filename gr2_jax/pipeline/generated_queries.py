"""Augmentation by a model: pseudo-queries that plain query generation writes for every document (as DSI-QG)."""

import dataclasses
import itertools
import shutil
from functools import partial
from pathlib import Path

import numpy as np

from gr2_jax.config import Experiment
from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.vocabulary import pad_rows
from gr2_jax.pipeline.docids import candidates_of
from gr2_jax.pipeline.prepare import QUERY_LENGTH, load_examples
from gr2_jax.pipeline.schemes.base import Sources
from gr2_jax.pipeline.schemes.plain_queries import PlainQueries
from gr2_jax.progress import say
from gr2_jax.workdir import Workdir, digest, is_done, run_stage

_FILE = "queries.npz"


def generate_queries(experiment: Experiment, workdir: Workdir, upstream: str) -> str | None:
    """Makes generated/ where the batches want it, by a generator of whole queries with the settings of `fusion`.

    `upstream` is the fingerprint of the examples that it learns from; returns that of what it wrote, None for nothing.
    """
    count = experiment.retrieval.batch.generated
    if not count:
        return None
    # docids are short; as augmentation a query is as long as an encoder input
    docids = dataclasses.replace(experiment.docids, max_length=experiment.retrieval.batch.length)
    whole = dataclasses.replace(experiment, docids=docids)
    writer = PlainQueries("generated", Sources(whole, workdir), upstream)
    fingerprint = digest([writer.fingerprint, count])
    if not is_done(workdir.generated, fingerprint):
        writer.train()
    run_stage(workdir.generated, fingerprint, partial(_build, writer, count))
    shutil.rmtree(workdir.candidates(writer.name), ignore_errors=True)
    return fingerprint


def training_examples(experiment: Experiment, workdir: Workdir) -> dict[str, ExampleArrays]:
    """The examples that `prepare` left, and among the pseudo-queries those that `generate_queries` left."""
    examples = load_examples(workdir)
    if not experiment.retrieval.batch.generated:
        return examples
    with np.load(workdir.generated / _FILE) as file:
        generated, pseudo = ExampleArrays(file["tokens"], file["docid_rows"], file["grades"]), examples["pseudo"]
    both = (np.concatenate(columns) for columns in zip(pseudo[:3], generated[:3], strict=True))
    return examples | {"pseudo": ExampleArrays(*both)}


def _build(writer: PlainQueries, count: int, out: Path) -> None:
    collection = writer.sources.corpus[0]
    documents = len(collection.documents)
    say(f"writing {count} pseudo-queries for each of {documents:,} documents")
    lists = itertools.chain.from_iterable(candidates_of(writer, np.arange(documents)))
    texts = [(row, query[query != 0]) for row, queries in enumerate(lists) for query in queries[:count] if query.any()]
    rows = np.array([[row] for row, _ in texts], np.int32)
    tokens = pad_rows([query for _, query in texts], QUERY_LENGTH)
    np.savez(out / _FILE, tokens=tokens, docid_rows=rows, grades=np.full_like(rows, collection.max_grade))
