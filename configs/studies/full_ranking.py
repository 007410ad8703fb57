"""Full ranking, after the paper's Table 4: a list of the method, and of BM25, ranked anew by a second model.

gr2 study configs/studies/full_ranking.py
gr2 study configs/studies/full_ranking.py --base configs/robust04.py
One point and one axis, the rows: the base's first row and BM25 and, of each, the first 100 documents by log P(query |
document) of a T5 that was trained to write queries (reranked), to which the first list's score is added with the best
weight for the validation queries, 0 among them. Tests are against the first row.
Hardware and time: those of the base, for one training and the query generator's a seed, and on one core .13 to .18
s for a query of the quickstart and each list that is ranked anew. Not run here at the paper's size.
"""

from gr2_jax.experiment.study import Rows, Study
from gr2_jax.recipes.quickstart import DEFAULT
from gr2_jax.recipes.studies import method_of, ranked_anew

study = Study(
    name="full-ranking",
    base=DEFAULT,
    axes=(Rows("list", (ranked_anew,)),),
    reference_row=method_of,
)
