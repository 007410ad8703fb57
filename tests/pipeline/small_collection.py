"""Sixty short documents, each with a query of its own, and an experiment over them that takes seconds."""

import dataclasses
from pathlib import Path
from typing import Any

from gr2_jax.corpus import Collection, write_collection
from gr2_jax.corpus.collection import Document
from gr2_jax.experiment import (
    BatchConfig,
    CorpusConfig,
    DocidConfig,
    Experiment,
    ModelConfig,
    OptimiserConfig,
    RetrievalConfig,
    VocabularyConfig,
)
from gr2_jax.pipeline.rows import BASELINES, System
from gr2_jax.pipeline.schemes import Titles

WORDS = ["sort", "array", "matrix", "vector", "sparse", "dense", "solve", "root", "linear", "cubic"]
TEXTS = [f"{a} {b} {c}" for a in WORDS for b in WORDS[:3] for c in WORDS[5:7]]

RETRIEVAL = RetrievalConfig(
    model=ModelConfig(dropout_rate=0.0),
    optimiser=OptimiserConfig(steps=10, warmup_steps=2),
    batch=BatchConfig(queries=8, indexing_texts=4, length=8, shortest_span=2, longest_span=6),
)


def write_folder(folder, documents: list[Document], texts: list[str]) -> None:
    """Query i, "how to <text i>", is about document i, grade 2."""
    queries = {f"q{i}": f"how to {text}" for i, text in enumerate(texts)}
    qrels = {f"q{i}": {document.doc_id: 2} for i, document in enumerate(documents)}
    write_collection(Collection("small", tuple(documents), queries, qrels, {}), folder)


def small_experiment(**sections: Any) -> Experiment:
    """Ten steps of a row GR2S on titles, and the baselines; `sections` replace those of the experiment."""
    experiment = Experiment(
        name="small",
        corpus=CorpusConfig(validation_queries=5, test_queries=5),
        vocabulary=VocabularyConfig(size=80, extra_ids=20),
        docids=DocidConfig(schemes=(Titles(),)),
        retrieval=RETRIEVAL,
        rows=(System("GR2S", "title"), *BASELINES),
    )
    return dataclasses.replace(experiment, **sections)


def over(experiment: Experiment, folder: Path) -> Experiment:
    """The experiment over another collection."""
    return dataclasses.replace(experiment, corpus=dataclasses.replace(experiment.corpus, source=str(folder)))


def retrieval(**changes: Any) -> RetrievalConfig:
    """The small experiment's retrieval section with other fields."""
    return dataclasses.replace(RETRIEVAL, **changes)
