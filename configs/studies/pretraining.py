"""What pre-training is worth where training queries are few: GR2P beside GR2S, after the paper's Figure 3.

gr2 pairs apidocs:sklearn,matplotlib,tensorflow,flax,optax --output data/api-pairs
gr2 train configs/pretraining_apidocs.py
gr2 study configs/studies/pretraining.py
gr2 study configs/studies/pretraining.py --base configs/robust04.py
One axis, the start of the model with the number of training queries: "pretrained" is GR2P; "own" is the base's own
start, published weights or, of the quickstart, vectors that its collection gives without any training; "random" are
random weights. Configs with published weights are pre-trained by configs/wikipedia.py.
Hardware and time: those of the base, for one training a point and seed, and the pre-training before. Not run here at
the paper's size.
"""

from gr2_jax.experiment.study import Changes, Study
from gr2_jax.recipes.quickstart import DEFAULT
from gr2_jax.recipes.studies import method_alone, starts_with_queries

study = Study(
    name="pretraining",
    base=DEFAULT,
    overlay=method_alone,
    axes=(Changes("start", starts_with_queries(15, 60)),),
)
