"""The paper's settings (5.1 and its appendix), which its config files share."""

import dataclasses

from gr2_jax.experiment import (
    AugmentationConfig,
    BatchConfig,
    CorpusConfig,
    DocidConfig,
    EvaluationConfig,
    Experiment,
    FusionObjective,
    LoopConfig,
    ModelConfig,
    OptimiserConfig,
    RetrievalConfig,
    Scheme,
    VocabularyConfig,
)
from gr2_jax.pipeline.rows import BASELINES, SelfNegatives, System
from gr2_jax.pipeline.schemes import FusionQueries, Keywords, PlainQueries

# `preset` and the layers give the shapes of `weights` to whoever plans without having them.
T5_BASE = ModelConfig(
    preset="base",
    num_encoder_layers=12,
    num_decoder_layers=12,
    dropout_rate=0.1,
    lsa_start=False,
    weights="t5-base",
    dtype="bfloat16",
    scan_layers=True,
    remat="minimal",
)
T5_VOCABULARY = VocabularyConfig(model="t5-base/spiece.model", extra_ids=100)
OPTIMISER = OptimiserConfig(steps=50_000, learning_rate=5e-5, warmup_steps=5_000, b2=0.999, weight_decay=0.01)

# 64 queries for the paper's 60, which fewer meshes divide, and as many documents and texts of the augmentation, so that
# a mesh which divides the queries divides these. The paper gives neither them nor the docids per query.
BATCH = BatchConfig(
    queries=64,
    docids=8,
    indexing_texts=128,
    pseudo_share=0.5,
    length=64,
    document_length=512,
    shortest_span=511,
    longest_span=511,
)

# The paper gives neither the steps nor the rate of this stage.
SELF_NEGATIVES = SelfNegatives("GR2S-no-negatives", steps=5_000, learning_rate=5e-5)


_WRITER = {
    "model": dataclasses.replace(T5_BASE, weights="doc2query-t5-base"),
    "optimiser": OPTIMISER,
    "pairs": 64,
    "pseudo_share": 0.0,  # docT5query writes queries
    "document_length": 512,
}
"""What fusion and plain query generation share: both start from docT5query."""


def fusion(radius: float) -> FusionQueries:
    """The docid model; `radius` is |r|, 2 where judgements have grades and 1.5 where they are binary."""
    return FusionQueries(**_WRITER, objective=FusionObjective(alpha=1.0, beta=30.0), radius=radius)


def paper_experiment(name: str, corpus: CorpusConfig, *, docids: Scheme, positives: int = 8) -> Experiment:
    """GR2S as the paper trains it, in `runs/<name>`: Eq. 10 (the row GR2S-no-negatives), then self-negatives.

    Args:
        docids: The scheme that both rows write.
        positives: Docids that a query brings into a batch, at most.
    """
    return Experiment(
        name=name,
        corpus=corpus,
        vocabulary=T5_VOCABULARY,
        augmentation=AugmentationConfig(generator=PlainQueries(**_WRITER)),
        docids=DocidConfig(schemes=(docids,), max_length=16),
        retrieval=RetrievalConfig(
            model=T5_BASE, optimiser=OPTIMISER, batch=dataclasses.replace(BATCH, docids=positives)
        ),
        rows=(
            System("GR2S-no-negatives", docids.name),
            System("GR2S", docids.name, self_negatives=SELF_NEGATIVES),
            *BASELINES,
        ),
        loop=LoopConfig(checkpoint_seconds=600.0),
    )


def whole_collection(name: str, corpus: CorpusConfig, *, texts: int) -> Experiment:
    """The paper's experiment over tens of millions of documents. Docids are telling words, which no model has to write
    for every document; docid vectors are small, and divided over the devices; rows that hold an index of all texts in
    memory are left out.

    Args:
        texts: Indexing texts in a batch, of which half are documents: with the paper's 64, its steps would read few of
            the documents.
    """
    experiment = paper_experiment(name, corpus, docids=Keywords())
    batch = dataclasses.replace(experiment.retrieval.batch, indexing_texts=texts)
    return dataclasses.replace(
        experiment,
        retrieval=dataclasses.replace(experiment.retrieval, batch=batch),
        rows=tuple(row for row in experiment.rows if row not in BASELINES),
        evaluation=EvaluationConfig(vectors="int8", table="sharded", trie="sharded"),
    )
