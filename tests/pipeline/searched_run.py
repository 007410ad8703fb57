"""A small trained run for the evaluation job; `python searched_run.py RUN OUTPUT [SLOW]`: a job to kill or to share.

With SLOW, a search takes that many seconds longer, so that a test can strike in the middle.
"""

import dataclasses
import sys
import time
from pathlib import Path

from small_collection import TEXTS, write_folder

from gr2_jax.corpus.collection import Document
from gr2_jax.experiment.config import (
    BatchConfig,
    CorpusConfig,
    DocidConfig,
    EvaluationConfig,
    Experiment,
    ModelConfig,
    OptimiserConfig,
    RetrievalConfig,
    System,
    VocabularyConfig,
)

EXPERIMENT = Experiment(
    name="searched",
    corpus=CorpusConfig(validation_queries=5, test_queries=20),
    vocabulary=VocabularyConfig(size=80, extra_ids=20),
    docids=DocidConfig(schemes=("title",)),
    retrieval=RetrievalConfig(
        model=ModelConfig(dropout_rate=0.0),
        optimiser=OptimiserConfig(steps=20, warmup_steps=2),
        batch=BatchConfig(queries=8, documents=4, length=8, shortest_span=2, longest_span=6),
        systems=(System("GR2S", "title"),),
        evaluate_every=8,
    ),
    evaluation=EvaluationConfig(batch=1, beams=6),  # parts of 8 queries
)


def small_experiment(folder: Path) -> Experiment:
    write_folder(folder, [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)], TEXTS)
    return dataclasses.replace(EXPERIMENT, corpus=dataclasses.replace(EXPERIMENT.corpus, source=str(folder)))


if __name__ == "__main__":
    from gr2_jax.cli import main
    from gr2_jax.search.retriever import Retriever

    run, output, *slow = sys.argv[1:]
    if slow:
        search = Retriever.search

        def slowly(self, queries, *arguments, **options):
            print("searching", flush=True)
            time.sleep(float(slow[0]))
            return search(self, queries, *arguments, **options)

        Retriever.search = slowly
    main(["evaluate", run, "--output", output, "--json"])
