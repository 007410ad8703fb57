"""Are documents of a higher grade nearer to the query, after the paper's Figure 4: as a number and as pictures.

gr2 study configs/studies/embedding.py
gr2 study configs/studies/embedding.py --base configs/robust04.py
One axis, the rows: the method with the paper's loss (GR2S), the same without the grade penalty (no-lambda) and without
the grade constraint (no-max), likelihoods alone (MLE), whose vectors nothing trained to be compared, supervised
contrastive learning, to which all grades are one (SupCon), a bi-encoder (Dense) and BM25, which has no vectors. The
measure is Somers' D: of the pairs of a query's judged documents that differ in grade, the share in which the higher
grade is nearer to the query less the share in which it is farther, the mean over the queries that have two grades or
more; beside it is the mean similarity of each grade. The page draws one query and the first 100 documents of each row's
list by t-SNE. Tests are against GR2S.
Hardware and time: those of the base, for 6 trainings a seed, and a search with 100 beams. Not run here at the paper's
size.
"""

from gr2_jax.evaluation.somers_d import SOMERS_D
from gr2_jax.experiment.study import Rows, Study
from gr2_jax.recipes.quickstart import DEFAULT
from gr2_jax.recipes.studies import for_vectors, method_of, objective, with_dense

study = Study(
    name="embedding",
    base=DEFAULT,
    overlay=for_vectors,
    axes=(
        Rows(
            "loss",
            (
                objective("no-lambda", penalty="equal"),
                objective("no-max", constraint="off"),
                objective("MLE", gamma=0.0),
                objective("SupCon", graded="contrastive"),
                with_dense,
            ),
        ),
    ),
    measure=SOMERS_D,
    reference_row=method_of,
)
