"""Few training queries, after the paper's Figure 3: measures along the number of queries that training has.

gr2 study configs/studies/low_resource.py
gr2 study configs/studies/low_resource.py --base configs/robust04.py
One axis, the number of training queries: 0, 15, 30, 45, 60 as in the paper and, of the quickstart, 500, 1000 and 2000;
of collections whose queries have one relevant document each, 0 to 8,000. Smaller numbers are subsets of larger ones;
with 0 training has the augmentation alone. The rows are GR2S, its likelihoods alone (MLE), a bi-encoder (Dense) and
BM25, which is the same everywhere. Tests are against all training queries.
Hardware and time: those of the base, for 3 trainings, a point and seed: 27 of the quickstart for each seed. Not run
here at the paper's size.
"""

from gr2_jax.experiment.study import Rows, Setting, Study
from gr2_jax.recipes.quickstart import DEFAULT
from gr2_jax.recipes.studies import method_alone, objective, training_queries, with_dense

study = Study(
    name="low-resource",
    base=DEFAULT,
    overlay=method_alone,
    axes=(
        Rows("rows", (objective("MLE", gamma=0.0), with_dense)),
        Setting("training-queries", "corpus.training_queries", training_queries),
    ),
)
