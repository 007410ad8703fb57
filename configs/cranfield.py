"""Cranfield 1400 in 5 folds: graded judgements, few queries, long abstracts; docids are codes of LSA vectors.

gr2 run configs/cranfield.py --corpus.source DIR     DIR holds documents.jsonl[.gz], queries.tsv, qrels.txt
gr2 run configs/cranfield.py                         the same through ir_datasets, which downloads the collection
Hardware: two CPU cores, 4 GB. Time and scores: tests/benchmarks/RESULTS.md.
"""

import dataclasses

from gr2_jax.experiment import BatchConfig, CorpusConfig, DocidConfig, Experiment, VocabularyConfig
from gr2_jax.pipeline.rows import BASELINES, System
from gr2_jax.pipeline.schemes import ResidualCodes
from gr2_jax.recipes.scratch import EVALUATION, LIKELIHOODS, OBJECTIVE, retrieval

experiment = Experiment(
    name="cranfield",
    corpus=CorpusConfig(source="irds:cranfield", empty_documents="drop", folds=5, validation_queries=30),
    vocabulary=VocabularyConfig(size=6000, extra_ids=500),
    docids=DocidConfig(schemes=(ResidualCodes(levels=2, codes=240),), max_length=4),
    retrieval=retrieval(
        steps=400,
        learning_rate=3e-3,
        batch=BatchConfig(queries=64, docids=3, indexing_texts=128, length=32),
        objective=dataclasses.replace(OBJECTIVE, temperature=0.1),  # validation queries prefer it to .05 and .02
    ),
    rows=(System("GR2S", "rq"), System("MLE", "rq", LIKELIHOODS), *BASELINES),
    evaluation=EVALUATION,
)
