"""The built-in experiment: the API documentation of numpy, scipy and jax, sized for two CPU cores and ten minutes."""

import dataclasses

from gr2_jax.experiment import (
    BatchConfig,
    CorpusConfig,
    DocidConfig,
    Experiment,
    OptimiserConfig,
    VocabularyConfig,
)
from gr2_jax.pipeline.rows import BASELINES, System
from gr2_jax.pipeline.schemes import FusionQueries, Titles
from gr2_jax.recipes.scratch import EVALUATION, FUSION_OBJECTIVE, LIKELIHOODS, MODEL, retrieval

_FUSION = FusionQueries(
    model=MODEL, optimiser=OptimiserConfig(steps=300), objective=FUSION_OBJECTIVE, radius=0.2, relative=True, mu=0.25
)

DEFAULT = Experiment(
    name="quickstart",
    docids=DocidConfig(schemes=(Titles(), _FUSION), max_length=6),
    retrieval=retrieval(steps=800, batch=BatchConfig(pseudo_share=0.6)),
    rows=(
        System("GR2S", "title"),
        System("MLE", "title", LIKELIHOODS),
        System("GR2S-fusion", "fusion"),
        *BASELINES,
    ),
    evaluation=EVALUATION,
)

TINY_FUSION = dataclasses.replace(_FUSION, optimiser=OptimiserConfig(steps=40), pairs=64, beams=4)

TINY = dataclasses.replace(
    DEFAULT,
    name="quickstart-tiny",
    workdir="runs/quickstart-tiny",
    corpus=CorpusConfig(source="apidocs:numpy", validation_queries=60, test_queries=60),
    vocabulary=VocabularyConfig(size=2048, characters=300_000),
    docids=DocidConfig(schemes=(Titles(), TINY_FUSION), max_length=6),
    retrieval=retrieval(steps=60, batch=BatchConfig(queries=38, indexing_texts=90, pseudo_share=0.6)),
)

PROFILES = {"default": DEFAULT, "tiny": TINY}
