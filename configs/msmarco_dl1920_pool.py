"""TREC Deep Learning 2019 and 2020 passages, the judged pool as a small collection: 97 queries, so 3 folds.

The passages have no titles: docids are their most telling words, 8 to 12 of them.

gr2 run configs/msmarco_dl1920_pool.py --corpus.source DIR     DIR holds documents.jsonl[.gz], queries.tsv, qrels.txt
gr2 run configs/msmarco_dl1920_pool.py                         the same from data/msmarco_dl1920_pool
Hardware: two CPU cores, 6 GB. Time and scores: tests/benchmarks/RESULTS.md.
"""

from gr2_jax.experiment import BatchConfig, CorpusConfig, DocidConfig, EvaluationConfig, Experiment
from gr2_jax.pipeline.rows import BASELINES, System
from gr2_jax.pipeline.schemes import Keywords
from gr2_jax.recipes.scratch import LIKELIHOODS, retrieval

experiment = Experiment(
    name="msmarco_dl1920_pool",
    corpus=CorpusConfig(source="data/msmarco_dl1920_pool", folds=3, validation_queries=15),
    docids=DocidConfig(schemes=(Keywords(least=8, most=12),), max_length=24),
    retrieval=retrieval(
        steps=800,
        batch=BatchConfig(queries=32, docids=2, indexing_texts=192, pseudo_share=0.75, length=32),
    ),
    rows=(System("GR2S", "keywords"), System("MLE", "keywords", LIKELIHOODS), *BASELINES),
    # with few queries to learn from, similarity ranks better than the likelihood of a long docid
    evaluation=EvaluationConfig(weights=(1.0, 3.0, 10.0, 30.0, 100.0)),
)
