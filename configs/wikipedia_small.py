"""Pre-training on a small Wikipedia, from scratch, to see it work: a two-layer T5, minutes on a laptop.

gr2 wikipedia DUMP.xml.bz2 --output data/wikipedia
gr2 train configs/wikipedia_small.py
Hardware: two CPU cores, 2 GB. Shows the machinery, not quality.
"""

from gr2_jax.config import BatchConfig, GradedPairs, ModelConfig, OptimiserConfig, Pretraining, VocabularyConfig

experiment = Pretraining(
    name="wikipedia-small",
    workdir="runs/wikipedia-small",
    sources=(GradedPairs("data/wikipedia"),),
    vocabulary=VocabularyConfig(size=4000, characters=1_000_000),
    model=ModelConfig(lsa_start=False, num_encoder_layers=1),
    optimiser=OptimiserConfig(steps=200, learning_rate=3e-3),
    batch=BatchConfig(queries=16, docids=4, documents=32, length=32, pseudo_share=0.0),
    document_length=128,
)
