"""The paper's settings (5.1 and its appendix), which its config files share."""

import dataclasses

from gr2_jax.config import (
    BatchConfig,
    CorpusConfig,
    DocidConfig,
    Experiment,
    FusionConfig,
    ModelConfig,
    OptimiserConfig,
    RetrievalConfig,
    SelfNegativeConfig,
    System,
    VocabularyConfig,
)
from gr2_jax.training.docid_objectives import FusionObjective
from gr2_jax.training.loop_config import LoopConfig

# `preset` and the layers say what `weights` holds, for whoever needs the shapes and has not the weights.
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

# 64 queries for the paper's 60, which fewer meshes divide. How many docids a query brings the paper does not say.
BATCH = BatchConfig(queries=64, docids=8, documents=64, pseudo_share=0.5, length=64, shortest_span=63, longest_span=63)


def paper_experiment(
    name: str, corpus: CorpusConfig, *, docids: str = "fusion", radius: float, positives: int = 8
) -> Experiment:
    """GR2S as the paper trains it, in `runs/<name>`: Eq. 10 (the row GR2S), then self-negatives (GR2S-negatives).

    Args:
        docids: The scheme that both rows write.
        radius: |r| of the fusion docids: 2 where judgements have grades, 1.5 where they are binary.
        positives: Docids that a query brings into a batch, at most.
    """
    return Experiment(
        name=name,
        workdir=f"runs/{name}",
        corpus=corpus,
        vocabulary=T5_VOCABULARY,
        docids=DocidConfig(schemes=(docids,), max_length=16),
        fusion=FusionConfig(
            model=dataclasses.replace(T5_BASE, weights="doc2query-t5-base"),
            optimiser=OPTIMISER,
            objective=FusionObjective(alpha=1.0, beta=30.0),
            pairs=64,
            document_length=512,
            radius=radius,
        ),
        retrieval=RetrievalConfig(
            model=T5_BASE,
            optimiser=OPTIMISER,
            batch=dataclasses.replace(BATCH, docids=positives),
            # the paper gives neither the steps nor the rate of this stage
            self_negatives=SelfNegativeConfig(steps=5_000, learning_rate=5e-5),
            systems=(System("GR2S", docids), System("GR2S-negatives", docids, self_negatives_of="GR2S")),
        ),
        loop=LoopConfig(checkpoint_seconds=600.0),
    )
