"""Penalties of grades: the paper's, none, softer ones of each query's own grades, and one that is learnt.

gr2 study configs/studies/penalties.py
gr2 study configs/studies/penalties.py --base configs/robust04.py
The paper leaves soft penalties open. The rows differ only in the weight that MGCC gives a grade, all with the paper's
constraint: 1 for the best grade, then 1/4, 1/9, ... (the method's row, "rank"); none (equal); nDCG's gain over the mean
gain of the query's grades (gain); the paper's letter, 1/l^2 (grade); trained with the model (learnable). Tests are
against the first.
Hardware and time: those of the base, for 5 trainings and seed. Not run here at the paper's size.
"""

from gr2_jax.experiment.study import Rows, Study
from gr2_jax.recipes.quickstart import DEFAULT
from gr2_jax.recipes.studies import method_of, method_with_papers_loss, objective

study = Study(
    name="penalties",
    base=DEFAULT,
    overlay=method_with_papers_loss,
    axes=(Rows("penalty", tuple(objective(word, penalty=word) for word in ("equal", "gain", "grade", "learnable"))),),
    reference_row=method_of,
)
