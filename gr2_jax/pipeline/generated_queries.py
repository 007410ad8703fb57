"""Augmentation by a model: pseudo-queries that plain query generation writes for every document (as DSI-QG)."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np

from gr2_jax.data.token_files import token_writer
from gr2_jax.experiment.scheme import OpenScheme
from gr2_jax.pipeline.docids import candidates_of
from gr2_jax.pipeline.run import GENERATED, Run
from gr2_jax.pipeline.schemes.plain_queries import PlainQueries, generator_of
from gr2_jax.pipeline.stage import Stage, fingerprint_of
from gr2_jax.pipeline.texts import QUERY_LENGTH
from gr2_jax.progress import say


def generate_queries(run: Run) -> None:
    """Makes generated/ where the experiment asks for generated queries."""
    generator, count = generator_of(run.experiment), run.experiment.augmentation.generated
    if generator is None:
        return
    decides = [generator.training_fingerprint(run), generator.writing_settings(), count, *generator.ranking_settings()]
    stage = Stage(run.paths.generated, fingerprint_of(decides))
    if not stage.done:
        stage.build(partial(_build, run, generator, generator.open(run), count))
    shutil.rmtree(run.paths.candidates(generator.name), ignore_errors=True)


def _build(run: Run, generator: PlainQueries, opened: OpenScheme, count: int, out: Path) -> None:
    documents = len(run.doc_ids)
    say(f"writing {count} pseudo-queries for each of {documents:,} documents")
    row = 0
    with token_writer(out, GENERATED, ids=run.tokenizer.size) as writer:
        for lists in candidates_of(run, generator, opened, np.arange(documents)):
            best = [(row + i, query[query != 0]) for i, queries in enumerate(lists) for query in queries[:count]]
            kept = [(about, query) for about, query in best if len(query)]
            writer.add([query[:QUERY_LENGTH] for _, query in kept], [about for about, _ in kept])
            row += len(lists)
