"""A small trained run for the evaluation job; `python searched_run.py RUN OUTPUT [SLOW] [OPTIONS]`: a job to kill or
to share.

With SLOW, a search takes that many seconds longer, so that a test can strike in the middle.
"""

import sys
import time
from pathlib import Path

from small_collection import TEXTS, over, retrieval, small_experiment, write_folder

from gr2_jax.corpus.collection import Document
from gr2_jax.experiment import CorpusConfig, EvaluationConfig, Experiment, OptimiserConfig

EXPERIMENT = small_experiment(
    name="searched",
    workdir="runs/searched",
    corpus=CorpusConfig(validation_queries=5, test_queries=20),
    retrieval=retrieval(optimiser=OptimiserConfig(steps=20, warmup_steps=2), evaluate_every=8),
    evaluation=EvaluationConfig(batch=1, beams=6),  # parts of 8 queries
)


def searched_experiment(folder: Path) -> Experiment:
    write_folder(folder, [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)], TEXTS)
    return over(EXPERIMENT, folder)


if __name__ == "__main__":
    from gr2_jax.cli import main
    from gr2_jax.search.retriever import Retriever

    run, output, *others = sys.argv[1:]
    slow = others[:1] if others and not others[0].startswith("--") else []
    if slow:
        search = Retriever.search

        def slowly(self, queries, *arguments, **options):
            print("searching", flush=True)
            time.sleep(float(slow[0]))
            return search(self, queries, *arguments, **options)

        Retriever.search = slowly
    main(["evaluate", run, "--output", output, "--json", *others[len(slow) :]])
