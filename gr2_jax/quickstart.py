"""The built-in experiment: the API documentation of numpy, scipy and jax, sized for two CPU cores and ten minutes."""

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
    System,
    VocabularyConfig,
)
from gr2_jax.training.docid_objectives import FusionObjective

# Minutes from scratch: no dropout (it cost .04 nDCG@20 and a quarter of the steps), one decoder layer, LSA start.
_SCRATCH = ModelConfig(preset="scratch", num_encoder_layers=0, num_decoder_layers=1, dropout_rate=0.0)

# On vectors of unit length the paper's beta, 30, outweighs the likelihoods: with 1 docids are more unique and telling.
DEFAULT = Experiment(
    docids=DocidConfig(schemes=("title", "fusion"), max_length=6),
    fusion=FusionConfig(model=_SCRATCH, optimiser=OptimiserConfig(steps=300), objective=FusionObjective(beta=1.0)),
    retrieval=RetrievalConfig(
        model=_SCRATCH,
        optimiser=OptimiserConfig(steps=800),
        batch=BatchConfig(pseudo_share=0.6),
        systems=(
            System("GR2S", "title"),
            System("MLE", "title", {"gamma": 0.0}),
            System("MLE-time", "title", {"gamma": 0.0}, steps=1.05),
            System("GR2S-fusion", "fusion"),
        ),
    ),
)

TINY = dataclasses.replace(
    DEFAULT,
    name="quickstart-tiny",
    workdir="runs/quickstart-tiny",
    corpus=CorpusConfig(source="apidocs:numpy", validation_queries=60, test_queries=60),
    vocabulary=VocabularyConfig(size=2048, characters=300_000),
    fusion=dataclasses.replace(DEFAULT.fusion, optimiser=OptimiserConfig(steps=40), pairs=64, beams=4),
    retrieval=dataclasses.replace(
        DEFAULT.retrieval,
        optimiser=OptimiserConfig(steps=60),
        batch=dataclasses.replace(DEFAULT.retrieval.batch, queries=38, documents=90),
    ),
)

PROFILES = {"default": DEFAULT, "tiny": TINY}
