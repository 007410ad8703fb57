"""GR2P's pre-training on Wikipedia's graded pairs, from the weights of a T5.

gr2 wikipedia enwiki-*-pages-articles-multistream*.xml.bz2 --output data/wikipedia
gr2 convert google-t5/t5-base t5-base
gr2 train configs/wikipedia.py
Fine-tune with ModelConfig(weights="runs/wikipedia/model/t5") and VocabularyConfig(extra_ids=100,
model="runs/wikipedia/vocabulary/spiece.model"). Hardware: one accelerator with 80 GB, or more of them. Not run at this
size: no time and no score are known.
"""

from gr2_jax.config import BatchConfig, GradedPairs, ModelConfig, OptimiserConfig, Pretraining, VocabularyConfig

experiment = Pretraining(
    sources=(GradedPairs("data/wikipedia"),),
    vocabulary=VocabularyConfig(model="t5-base/spiece.model", extra_ids=100),
    model=ModelConfig(
        weights="t5-base", lsa_start=False, dropout_rate=0.1, dtype="bfloat16", scan_layers=True, remat="minimal"
    ),
    optimiser=OptimiserConfig(steps=50_000, learning_rate=5e-5, warmup_steps=5_000, b2=0.999, weight_decay=0.01),
    batch=BatchConfig(
        queries=64, docids=8, documents=64, length=512, shortest_span=511, longest_span=511, pseudo_share=0.0
    ),
)
