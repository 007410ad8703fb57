"""The built-in experiment: the API documentation of numpy, scipy and jax, sized for two CPU cores and ten minutes."""

import dataclasses

from gr2_jax.config import (
    CorpusConfig,
    DocidConfig,
    Experiment,
    FusionConfig,
    ModelConfig,
    OptimiserConfig,
    RetrievalConfig,
    System,
    VocabularyConfig,
)

DEFAULT = Experiment(
    retrieval=RetrievalConfig(
        systems=(
            System("GR2S", "title"),
            System("MLE", "title", gamma=0.0),
            System("GR2S-fusion", "fusion"),
        )
    )
)

TINY = dataclasses.replace(
    DEFAULT,
    name="quickstart-tiny",
    workdir="runs/quickstart-tiny",
    corpus=CorpusConfig(source="apidocs:numpy", validation_queries=60, test_queries=60),
    vocabulary=VocabularyConfig(size=2048, characters=300_000),
    docids=DocidConfig(schemes=("title", "fusion"), max_length=6),
    fusion=FusionConfig(model=ModelConfig(num_encoder_layers=1), optimiser=OptimiserConfig(steps=20), pairs=64, beams=4),
    retrieval=dataclasses.replace(
        DEFAULT.retrieval,
        optimiser=OptimiserConfig(steps=60),
        batch=dataclasses.replace(DEFAULT.retrieval.batch, queries=38, documents=90),
    ),
)

PROFILES = {"default": DEFAULT, "tiny": TINY}
