"""Cranfield 1400 in 5 folds: graded judgements, few queries, long abstracts; docids are codes of LSA vectors.

gr2 run configs/cranfield.py --corpus.source DIR     DIR holds documents.jsonl[.gz], queries.tsv, qrels.txt
gr2 run configs/cranfield.py                         the same from ../shared/data/cranfield, where it exists
gr2 run configs/cranfield.py --corpus.source irds:cranfield      through ir_datasets, which downloads it
Hardware: two CPU cores, 4 GB. Time and scores: tests/benchmarks/RESULTS.md.
"""

import dataclasses

from gr2_jax.config import BatchConfig, CorpusConfig, DocidConfig, Experiment, OptimiserConfig, System, VocabularyConfig
from gr2_jax.quickstart import DEFAULT

experiment = Experiment(
    name="cranfield",
    workdir="runs/cranfield",
    corpus=CorpusConfig(source="../shared/data/cranfield", empty_documents="drop", folds=5, validation_queries=30),
    vocabulary=VocabularyConfig(size=6000, extra_ids=500),
    docids=DocidConfig(schemes=("rq",), max_length=4, codebooks=2, codes=240),
    retrieval=dataclasses.replace(
        DEFAULT.retrieval,
        optimiser=OptimiserConfig(steps=400, learning_rate=3e-3),
        batch=BatchConfig(queries=64, docids=3, documents=128, length=32),
        systems=(System("GR2S", "rq"), System("MLE", "rq", {"gamma": 0.0})),
    ),
)
