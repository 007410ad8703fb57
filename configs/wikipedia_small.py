"""Pre-training on a small Wikipedia, from scratch, to see it work: a two-layer T5, minutes on a laptop.

gr2 wikipedia DUMP.xml.bz2 --output data/wikipedia
gr2 train configs/wikipedia_small.py
Hardware: two CPU cores, 2 GB. Shows the machinery, not quality.
"""

from gr2_jax.experiment import (
    BatchConfig,
    GradedPairs,
    ModelConfig,
    OptimiserConfig,
    PairsConfig,
    Pretraining,
    RetrievalConfig,
    VocabularyConfig,
)

experiment = Pretraining(
    name="wikipedia-small",
    pairs=PairsConfig(sources=(GradedPairs("data/wikipedia"),), document_length=128),
    vocabulary=VocabularyConfig(size=4000, characters=1_000_000),
    retrieval=RetrievalConfig(
        model=ModelConfig(lsa_start=False, num_encoder_layers=1),
        optimiser=OptimiserConfig(steps=200, learning_rate=3e-3),
        batch=BatchConfig(queries=16, docids=4, indexing_texts=32, length=32, pseudo_share=0.0),
    ),
)
