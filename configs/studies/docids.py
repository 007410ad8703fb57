"""Every docid scheme, as docids and as retrieval: how good docids are before training, and what rows make of them.

gr2 study configs/studies/docids.py
gr2 study configs/studies/docids.py --base configs/cranfield.py
After the paper's comparison with other docids. The rows differ in their scheme alone: the one that the base's first row
writes, telling words (keywords), queries that a model writes without fusion (qg) and with it (fusion), random numbers
(number), hierarchical clusters (hierarchical), product and residual quantisation (pq, rq). Titles, which not every
collection has, are there where that row writes them. Tests are against that row.
Hardware and time: those of the base, for 8 trainings and seed, and 2 models that write docids. Not run here at the
paper's size.
"""

from gr2_jax.experiment.study import Rows, Study
from gr2_jax.recipes.quickstart import DEFAULT
from gr2_jax.recipes.studies import every_docids, method_alone, method_of

study = Study(
    name="docids",
    base=DEFAULT,
    overlay=method_alone,
    axes=(Rows("docids", (every_docids,)),),
    reference_row=method_of,
)
