"""How much the method depends on its settings: one at a time around the base, and tau with w as a pair.

gr2 study configs/studies/sensitivity.py
gr2 study configs/studies/sensitivity.py --base configs/robust04.py
Not in the paper, which leaves it open. The axes: tau, by which similarities are divided; gamma, the weight of the
graded loss; penalty, MGCC's weight of a grade (lambda); K, docids that a query brings into a batch; w, the weight of
similarity beside likelihood, and beams, which are settings of the search and train nothing; and, where the base's
docids are written by fusion, alpha and beta, the weights of relevance and distinctness (Eq. 3), |r|, and mu, by which
candidates are ranked. The rows are those of the base that have its own objective. Tests are against the base.
Hardware and time: those of the base, for up to 26 points of one or two trainings and seed; points that differ in a
search or in a docid model alone share the others' models. Not run here at the paper's size.
"""

from gr2_jax.experiment.study import Pair, Setting, Study
from gr2_jax.recipes.quickstart import DEFAULT
from gr2_jax.recipes.studies import multiples, own_rows

TAU, W = "retrieval.objective.temperature", "evaluation.weight"
FUSION = "docids.schemes.fusion"
GIVEN = {"evaluation.weights": ()}  # else the weight is chosen on the validation queries


def of_fusion(name: str, field: str, *factors: float) -> Setting:
    return Setting(name, f"{FUSION}.{field}", multiples(f"{FUSION}.{field}", *factors), optional=True)


study = Study(
    name="sensitivity",
    base=DEFAULT,
    overlay=own_rows,
    axes=(
        Setting("tau", TAU, (0.01, 0.02, 0.05, 0.1, 0.2)),
        Setting("gamma", "retrieval.objective.gamma", (0.25, 0.5, 1.0, 2.0, 4.0)),
        Setting("penalty", "retrieval.objective.penalty", ("rank", "grade", "equal", "gain", "learnable")),
        Setting("K", "retrieval.batch.docids", (1, 2, 4, 8)),
        Setting("w", W, (0.0, 0.5, 1.0, 2.0, 5.0), also=GIVEN),
        Setting("beams", "evaluation.beams", (5, 10, 20, 50)),
        of_fusion("alpha", "objective.alpha", 0.0, 0.5, 1.0, 2.0),
        of_fusion("beta", "objective.beta", 0.0, 0.25, 1.0, 4.0),
        of_fusion("radius", "radius", 0.5, 1.0, 2.0),
        Setting("mu", f"{FUSION}.mu", (0.0, 0.1, 0.25, 0.5, 1.0), optional=True),
        Pair("tau-and-w", Setting("tau", TAU, (0.02, 0.05, 0.1)), Setting("w", W, (0.5, 1.0, 2.0), also=GIVEN)),
    ),
)
