"""Augmentation by a model: pseudo-queries that plain query generation writes for every document (as DSI-QG)."""

import itertools
import shutil
from functools import partial
from pathlib import Path

import numpy as np

from gr2_jax.data.vocabulary import pad_rows
from gr2_jax.experiment.scheme import OpenScheme
from gr2_jax.pipeline.docids import candidates_of
from gr2_jax.pipeline.run import GENERATED_FILE, QUERY_LENGTH, Run
from gr2_jax.pipeline.schemes.plain_queries import PlainQueries, generator_of
from gr2_jax.pipeline.stage import Stage, fingerprint_of
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
    lists = itertools.chain.from_iterable(candidates_of(run, generator, opened, np.arange(documents)))
    texts = [(row, query[query != 0]) for row, queries in enumerate(lists) for query in queries[:count] if query.any()]
    rows = np.array([[row] for row, _ in texts], np.int32)
    tokens = pad_rows([query for _, query in texts], QUERY_LENGTH)
    np.savez(out / GENERATED_FILE, tokens=tokens, docid_rows=rows, grades=np.full_like(rows, run.num_grades))
