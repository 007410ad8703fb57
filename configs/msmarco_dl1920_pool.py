"""TREC Deep Learning 2019 and 2020 passages, the judged pool as a small collection: 97 queries, so 5 folds.

gr2 run configs/msmarco_dl1920_pool.py --corpus.source DIR     DIR holds documents.jsonl[.gz], queries.tsv, qrels.txt
gr2 run configs/msmarco_dl1920_pool.py                         the same from data/msmarco_dl1920_pool
Hardware: two CPU cores, 6 GB. Time and scores: tests/benchmarks/RESULTS.md.
"""

from gr2_jax.experiment import BatchConfig, CorpusConfig, DocidConfig, Experiment, VocabularyConfig
from gr2_jax.pipeline.rows import BASELINES, System
from gr2_jax.pipeline.schemes import ResidualCodes
from gr2_jax.recipes.scratch import LIKELIHOODS, retrieval

experiment = Experiment(
    name="msmarco_dl1920_pool",
    corpus=CorpusConfig(source="data/msmarco_dl1920_pool", folds=5, validation_queries=15),
    vocabulary=VocabularyConfig(extra_ids=1020),
    docids=DocidConfig(schemes=(ResidualCodes(levels=2, codes=500),), max_length=5),
    retrieval=retrieval(
        steps=1000, learning_rate=3e-3, batch=BatchConfig(queries=32, docids=4, indexing_texts=192, length=32)
    ),
    rows=(System("GR2S", "rq"), System("MLE", "rq", LIKELIHOODS), *BASELINES),
)
