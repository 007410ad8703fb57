"""More documents, after the paper's Table 5: measures as documents are added around the judged ones.

gr2 study configs/studies/scale.py
gr2 study configs/studies/scale.py --base configs/clueweb500k.py
One axis, the number of documents: that of the base, and 2 and 4 times as many. Each sample has all judged documents and
is part of the larger ones. The quickstart's first point has 4,000 documents: the judged ones, which are of numpy, scipy
and jax, and a sample of the rest, to which seven other libraries belong. Where a collection has only judged documents,
--corpus.around names another source whose documents are added. The rows are the method's, a bi-encoder and BM25. Tests
are against the base.
Hardware and time: those of the base, for 2 trainings, a point and seed; docids, and what is searched, grow with the
documents. Not run here at the paper's size.
"""

from gr2_jax.experiment.study import Setting, Study
from gr2_jax.recipes.quickstart import DEFAULT
from gr2_jax.recipes.studies import among_more, multiples

study = Study(
    name="scale",
    base=DEFAULT,
    overlay=among_more,
    axes=(Setting("documents", "corpus.documents", multiples("corpus.documents", 2, 4)),),
)
